"""Drift: none of requests like the rows that the bundle was made on, much of others; of all workers, and fading."""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished, click_log
from http_calls import ROW, Client, Serving, serving, until

import dagfm
from dagfm.files import MANIFEST
from dagfm.server import drift, scoring
from dagfm.server.app import application
from dagfm.server.drift import HALF_LIFE, LEAST, Drift
from dagfm.server.drift_told import told
from dagfm.server.models import Served

DRIFT = "/v1/models/m/drift"


@pytest.fixture(scope="module")
def usual(finished: Finished) -> pl.DataFrame:
    """Rows as those of training."""
    return pl.read_parquet(finished.folder / "valid.parquet").drop("click")


@pytest.fixture
def served(finished: Finished) -> Served:
    return Served("m", "abc", "abc", dagfm.load(finished.bundle))


def observed(to: Drift, served: Served, rows: pl.DataFrame) -> dict[str, Any]:
    to.observe(served, served.scorer.encode(rows), served.scorer.predict(rows))
    found = to.of(served)
    assert found is not None
    return told(served, found)


def by_field(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {line["field"]: line for line in found["fields"]}


def test_the_same_rows_have_not_drifted(served: Served, usual: pl.DataFrame) -> None:
    found = observed(Drift(), served, usual)
    assert found["window"] == {"rows": usual.height, "half_life_seconds": HALF_LIFE, "enough": True}
    assert found["reference"] == {"rows": usual.height}
    assert set(by_field(found)) == set(served.scorer.schema.names)
    for line in (found["scores"], *found["fields"]):
        assert line["drift"] == 0
        assert not line["large"]
        for value in line["values"]:
            assert value["current"] == pytest.approx(value["reference"], abs=5e-3)


def test_other_rows_of_the_same_kind_have_not_drifted(finished: Finished, served: Served) -> None:
    found = observed(Drift(), served, pl.read_parquet(finished.test_file))
    assert not any(line["large"] for line in (found["scores"], *found["fields"]))
    assert max(line["drift"] for line in found["fields"]) < 0.1


def test_what_has_drifted_is_named_first_with_its_shares(served: Served, usual: pl.DataFrame) -> None:
    shifted = usual.with_columns(group=pl.lit("y"), price=pl.col("price") * 10 + 5)
    found = observed(Drift(), served, shifted)
    assert {line["field"] for line in found["fields"][:2]} == {"group", "price"}
    lines = by_field(found)
    assert lines["group"]["large"]
    assert lines["price"]["large"]
    assert not lines["user"]["large"]
    shares = {value["value"]: (value["reference"], value["current"]) for value in lines["group"]["values"]}
    assert shares["y"][0] < 0.5 < shares["y"][1] == 1
    assert lines["group"]["missing"]["current"] == 0 < lines["group"]["missing"]["reference"]
    limits = [value["up_to"] for value in lines["price"]["values"]]
    assert limits[-1] is None
    assert limits[:-1] == pytest.approx(
        np.quantile(usual["price"].drop_nulls(), np.arange(1, 10) / 10, method="inverted_cdf"), rel=0.05
    ), "in the units of the log"
    assert lines["price"]["values"][-1]["current"] > 0.8


def test_scores_drift_with_what_is_asked(served: Served, usual: pl.DataFrame) -> None:
    best = usual.with_columns(p=served.scorer.predict(usual)).sort("p").tail(100).drop("p")
    found = observed(Drift(), served, pl.concat([best] * 3))
    assert found["scores"]["large"]
    assert found["scores"]["values"][0]["current"] == 0


def test_strangers_and_holes_are_told(served: Served, usual: pl.DataFrame) -> None:
    half = usual.height // 2
    odd = usual.with_columns(
        user=pl.when(pl.int_range(pl.len()) < half).then(pl.lit("nobody")).otherwise("user"),
        tags=pl.lit(None, pl.String),
        price=pl.lit(None, pl.Float64),
    )
    lines = by_field(observed(Drift(), served, odd))
    assert lines["user"]["unknown"] == {"reference": 0, "current": half / usual.height}
    assert lines["tags"]["missing"]["current"] == 1
    assert lines["price"]["missing"]["current"] == 1
    assert all(lines[name]["large"] for name in ("user", "tags", "price"))


def test_one_number_of_several_is_named(served: Served, usual: pl.DataFrame) -> None:
    moved = usual.with_columns(pl.concat_list(pl.col("position").list.get(0), pl.lit(50.0)).alias("position"))
    line = by_field(observed(Drift(), served, moved))["position"]
    assert (line["number"], line["large"]) == (2, True)


def test_few_rows_are_not_told_as_large(served: Served, usual: pl.DataFrame) -> None:
    found = observed(Drift(), served, usual.head(int(LEAST) - 1).with_columns(group=pl.lit("y")))
    assert not found["window"]["enough"]
    assert not any(line["large"] for line in found["fields"])
    empty = Drift().of(served)
    assert empty is not None
    assert told(served, empty)["scores"] is None
    assert told(served, empty)["fields"] == []


def test_rows_fade(served: Served, usual: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    monkeypatch.setattr(drift.time, "time", lambda: now)
    window = Drift()
    observed(window, served, usual)
    now += 2 * HALF_LIFE
    found = observed(window, served, usual.with_columns(group=pl.lit("y")))
    assert found["window"]["rows"] == usual.height * 1.25
    ys = next(value for value in by_field(found)["group"]["values"] if value["value"] == "y")
    share = usual["group"].eq("y").sum() / usual.height
    assert ys["current"] == pytest.approx((1 + share / 4) / 1.25, abs=1e-5)
    now -= 100 * HALF_LIFE  # a clock that was set back
    assert observed(window, served, usual)["window"]["rows"] == usual.height * 2.25


def test_workers_tell_of_all_of_them(
    finished: Finished, usual: pl.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = dagfm.load(finished.bundle)
    workers = []
    for pid in (7, 8):
        monkeypatch.setattr(drift.os, "getpid", lambda pid=pid: pid)
        worker, own = Drift(tmp_path), Served("m", "1", "abc", scorer)
        workers.append((worker, own))
        observed(worker, own, usual)
        observed(worker, own, usual)
    other = Served("m", "2", "abc", scorer)
    monkeypatch.setattr(drift.os, "getpid", lambda: 9)
    observed(Drift(tmp_path), other, usual)
    for worker, own in workers:
        found = worker.of(own)
        assert found is not None
        assert found.rows == pytest.approx(4 * usual.height, rel=1e-3)
    assert len(list(tmp_path.iterdir())) == 3
    (tmp_path / "m+1+abc+10.drift").write_bytes(b"12345678")  # another layout: of no window of this bundle
    assert workers[0][0].of(workers[0][1]).rows == pytest.approx(4 * usual.height, rel=1e-3)  # type: ignore[union-attr]
    del other, worker, own
    workers.clear()
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["m+1+abc+10.drift"], "of versions that are gone nothing stays"


# The server -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def client(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(scoring, "_SECONDS_BETWEEN_SAMPLES", 0.0)
    return Client(application({"m": finished.bundle}))


def gauges(page: bytes, name: str) -> dict[str, float]:
    lines = [line.decode().rpartition(" ") for line in page.splitlines() if line.startswith(name.encode() + b"{")]
    return {labels: float(value) for labels, _, value in lines}


def test_the_endpoint_and_the_gauges(client: Client, usual: pl.DataFrame) -> None:
    assert client.get(DRIFT).json["window"]["rows"] == 0
    page = client.get("/metrics").body
    assert gauges(page, "dagfm_drift_rows") == {'dagfm_drift_rows{model="m",version=""}': 0}
    assert not gauges(page, "dagfm_score_drift"), "of nothing there is no drift"
    strange = usual.with_columns(user=pl.lit("nobody")).to_dicts()
    assert client.post("/v1/models/m:predict", {"rows": strange}).status == 200
    until(lambda: client.get(DRIFT).json["window"]["rows"] > 0)
    found = client.get(DRIFT).json
    assert found["window"]["rows"] == pytest.approx(256, abs=1)
    assert (found["model"], found["fields"][0]["field"]) == ("m", "user")
    (version,) = client.get("/v2/models/m").json["versions"]
    assert found["version"] == version
    again = client.get(f"/v1/models/m/versions/{version}/drift").json["fields"][0]
    assert again["field"] == "user"
    assert again["drift"] == pytest.approx(found["fields"][0]["drift"], rel=1e-3), (
        "its rows count for less by the second"
    )
    page = client.get("/metrics").body
    excess = gauges(page, "dagfm_unknown_excess")
    assert excess['dagfm_unknown_excess{field="user",model="m",version=""}'] == 1
    assert excess['dagfm_unknown_excess{field="item",model="m",version=""}'] == 0
    of_fields = gauges(page, "dagfm_field_drift")
    assert of_fields['dagfm_field_drift{field="user",model="m",version=""}'] > 1
    assert of_fields['dagfm_field_drift{field="group",model="m",version=""}'] < 0.1
    assert len(of_fields) == 6
    assert len(gauges(page, "dagfm_score_drift")) == 1
    assert f"{DRIFT}" in client.get("/openapi.json").json["paths"]


def test_tensors_are_looked_at_as_rows_are(client: Client, usual: pl.DataFrame) -> None:
    columns = {name: usual[name].to_list() for name in usual.columns}
    assert client.post("/v1/models/m:predict", {"rows": columns}).status == 200
    until(lambda: client.get(DRIFT).json["window"]["rows"] > 0)
    assert not any(line["large"] for line in client.get(DRIFT).json["fields"])


@pytest.mark.parametrize(
    ("path", "status", "told_"),
    [("/v1/models/other/drift", 404, "unknown"), ("/v1/models/m/versions/7/drift", 404, "no version '7'")],
)
def test_what_is_not_there(client: Client, path: str, status: int, told_: str) -> None:
    answer = client.get(path)
    assert answer.status == status
    assert told_ in answer.error
    assert client.post(DRIFT, {}).status == 405


def test_a_bundle_of_an_earlier_dagfm(finished: Finished, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"], manifest["files"]["reference.json"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    client = Client(application({"m": bundle}))
    assert client.post("/v1/models/m:predict", {"rows": [ROW]}).status == 200
    answer = client.get(DRIFT)
    assert answer.status == 404
    assert "made by an earlier dagfm" in answer.error
    assert not gauges(client.get("/metrics").body, "dagfm_drift_rows")


def test_it_needs_the_token(finished: Finished) -> None:
    client = Client(application({"m": finished.bundle}, token="secret"))
    assert client.get(DRIFT).status == 401
    assert client.get(DRIFT, authorization="Bearer secret").status == 200


@pytest.fixture(scope="module")
def two(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    place = Path(shutil.copytree(finished.bundle, tmp_path_factory.mktemp("drift") / "bundle"))
    with serving(place.parent, f"m={place}", "--workers", "2") as found:
        yield found


def test_two_workers_tell_the_same(two: Serving) -> None:
    rows = click_log(300, seed=5).drop("click").to_dicts()

    def both_have_sampled() -> bool:
        assert two.predict(rows).status == 200
        return bool(two.request("GET", DRIFT).json["window"]["rows"] > 257)

    until(both_have_sampled, two.log)
    answers = [two.request("GET", DRIFT).json["window"]["rows"] for _ in range(6)]
    assert max(answers) - min(answers) < 300, "whoever answers tells of both"
    page = two.request("GET", "/metrics").body
    assert len(gauges(page, "dagfm_field_drift")) == 6
    assert gauges(page, "dagfm_drift_rows")['dagfm_drift_rows{model="m",version=""}'] > 257
