"""Bundles that change while they are served: new, damaged, half-copied, altered or gone; versions side by side."""

from __future__ import annotations

import errno
import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clicks import Finished
from http_calls import ROW, Client
from safetensors.numpy import load_file, save_file

import dagfm
from dagfm.files import MANIFEST, digest
from dagfm.server.app import application
from dagfm.server.changes import Changes
from dagfm.server.metrics import Metrics
from dagfm.server.repository import Repository
from dagfm.server.settings import Settings
from dagfm.server.snapshots import Snapshots
from dagfm.server.sources import fingerprint, locate, parse_models, signature

PREDICT = "/v1/models/m:predict"
LOAD, UNLOAD = "/v2/repository/models/m/load", "/v2/repository/models/m/unload"


def another(bundle: Path, to: Path, scale: float = 0.5, *, golden: bool = True) -> Path:
    """A bundle that scores otherwise; without ``golden`` its golden rows are of the other, as if miscompiled."""
    from dataclasses import replace

    from dagfm.serving.bundle import read_bundle, write_bundle
    from dagfm.serving.golden import with_golden

    changed = replace(read_bundle(bundle), calibration={"scale": scale, "shift": 0.25})
    write_bundle(to, with_golden(changed) if golden else changed)
    return to


@pytest.fixture
def place(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))


def score(client: Client, path: str = PREDICT) -> float:
    (found,) = client.post(path, {"rows": [ROW]}).json["scores"]
    return float(found)


def reference(bundle: Path) -> float:
    return float(dagfm.load(bundle).predict([ROW])[0])


def index(client: Client) -> list[tuple[str, str]]:
    return [(line["state"], line["reason"]) for line in client.post("/v2/repository/index").json]


def test_a_new_bundle_is_served_once_it_is_loaded(place: Path) -> None:
    client = Client(application({"m": place}))
    before, (version,) = score(client), client.get("/v2/models/m").json["versions"]
    another(place, place)
    assert score(client) == before
    answer = client.post(LOAD)
    assert answer.status == 200
    (fresh,) = answer.json["loaded"]
    assert fresh != version
    assert score(client) == pytest.approx(reference(place), abs=1e-6)
    assert score(client) != pytest.approx(before, abs=1e-3)
    assert client.get(f"/v2/models/m/versions/{version}").status == 404
    lines = [line for line in client.get("/metrics").body.decode().splitlines() if line.startswith("dagfm_bundle")]
    assert lines == [f'dagfm_bundle_workers{{fingerprint="{fresh}",model="m",version="{fresh}"}} 1.0']


def test_loading_the_same_again_changes_nothing(place: Path) -> None:
    client = Client(application({"m": place}))
    assert client.post(LOAD).json["loaded"] == []


def test_an_unloaded_model_is_not_found_until_it_is_loaded(place: Path) -> None:
    client = Client(application({"m": place}))
    before = score(client)
    assert client.post(UNLOAD).status == 200
    for answer in (client.post(PREDICT, {"rows": [ROW]}), client.get("/v2/models/m"), client.get("/v2/models/m/ready")):
        assert answer.status == 404
        assert "not loaded" in answer.error
    assert index(client) == [("UNAVAILABLE", "unloaded")]
    assert client.post("/v2/repository/index", b'{"ready": true}').json == []
    assert client.post(LOAD).status == 200
    assert score(client) == before


def cut(bundle: Path) -> None:
    path = bundle / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-5])


def half_copied(bundle: Path) -> None:
    (bundle / "weights.safetensors").unlink()


def altered(bundle: Path) -> None:
    path = bundle / "vocabulary" / "000.parquet"
    data = path.read_bytes()
    path.write_bytes(data[:-3] + bytes(255 - byte for byte in data[-3:]))


def gone(bundle: Path) -> None:
    shutil.rmtree(bundle)


def scores_otherwise(bundle: Path) -> None:
    another(bundle, bundle, golden=False)


def foreign(bundle: Path) -> None:
    """Every checksum right, and yet another network's weights."""
    path = bundle / "weights.safetensors"
    arrays = load_file(path)
    save_file({**arrays, "network.p": np.ascontiguousarray(arrays["network.p"][:, :-1])}, path)
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"]
    manifest["files"][path.name] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    (bundle / MANIFEST).write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (cut, "truncated"),
        (half_copied, "missing"),
        (altered, "checksum"),
        (gone, "nothing is there"),
        (scores_otherwise, "golden rows score otherwise"),
        (foreign, "network.p has shape"),
    ],
)
def test_a_bad_bundle_is_refused_and_the_old_one_serves_on(
    finished: Finished, place: Path, damage: Any, told: str
) -> None:
    client = Client(application({"m": place}))
    before = score(client)
    if damage not in (gone, scores_otherwise):
        another(place, place)
    damage(place)
    answer = client.post(LOAD)
    assert answer.status == 400
    assert told in answer.error
    assert str(place.parent) not in answer.error, "no path leaks"
    assert score(client) == before
    (ready, _), (refused, reason) = index(client)
    assert (ready, refused) == ("READY", "UNAVAILABLE")
    assert told in reason
    assert b'dagfm_reloads_total{model="m",result="refused"} 1.0' in client.get("/metrics").body
    # And when it is mended, it is taken.
    shutil.rmtree(place, ignore_errors=True)
    another(finished.bundle, place, 0.7)
    assert client.post(LOAD).status == 200
    assert score(client) == pytest.approx(reference(place), abs=1e-6)
    assert [state for state, _ in index(client)] == ["READY"]


def test_a_bundle_that_is_gone_scores_on_without_its_files(place: Path) -> None:
    client = Client(application({"m": place}))
    before = score(client)
    shutil.rmtree(place)
    assert score(client) == before


def test_a_bad_bundle_at_the_start_is_an_error(place: Path) -> None:
    cut(place)
    with pytest.raises(dagfm.InputError, match=r"model m: not loaded: .*truncated"):
        application({"m": place})


def test_versions_are_served_side_by_side(finished: Finished, tmp_path: Path) -> None:
    models = tmp_path / "models"
    shutil.copytree(finished.bundle, models / "2")
    another(finished.bundle, models / "10")
    client = Client(application({"m": models}))
    assert client.get("/v2/models/m").json["versions"] == ["2", "10"]
    for version in ("2", "10"):
        found = score(client, f"/v1/models/m/versions/{version}:predict")
        assert found == pytest.approx(reference(models / version), abs=1e-6)
    assert score(client) == score(client, "/v1/models/m/versions/10:predict"), "the highest number answers"
    another(finished.bundle, models / "11", 0.1)
    shutil.rmtree(models / "2")
    half = Path(shutil.copytree(finished.bundle, models / "12"))
    half_copied(half)
    answer = client.post(LOAD)
    assert answer.status == 400
    assert "version '12'" in answer.error
    assert client.get("/v2/models/m").json["versions"] == ["10", "11"]
    assert score(client) == pytest.approx(reference(models / "11"), abs=1e-6)


def test_several_models_are_apart(finished: Finished, tmp_path: Path) -> None:
    other = another(finished.bundle, tmp_path / "other")
    client = Client(application({"m": finished.run, "n": other}))
    assert score(client) == pytest.approx(reference(finished.bundle), abs=1e-6)
    assert score(client, "/v1/models/n:predict") == pytest.approx(reference(other), abs=1e-6)
    client.post(UNLOAD)
    assert client.get("/v2/models/n").status == 200


def test_twenty_reloads_under_load_lose_nothing_and_mix_nothing(finished: Finished, place: Path) -> None:
    """Every answer is of exactly one version, the one that it names."""
    app = application({"m": place})
    scores = {}
    bundles = []
    for number in range(20):
        bundle = another(finished.bundle, place.parent / f"b{number}", 0.2 + number / 20)
        bundles.append(bundle)
        scores[round(reference(bundle), 6)] = number
    scores[round(reference(place), 6)] = -1
    over = threading.Event()
    failures: list[Any] = []
    seen: dict[str, set[float]] = {}

    def load() -> None:
        client = Client(app)
        while not over.is_set():
            answer = client.post(PREDICT, {"rows": [ROW] * 5})
            if answer.status != 200 or len(set(answer.json["scores"])) != 1:
                failures.append(answer)
                return
            seen.setdefault(answer.headers["model-version"], set()).add(round(answer.json["scores"][0], 6))

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    client = Client(app)
    for bundle in bundles:
        shutil.rmtree(place)
        shutil.copytree(bundle, place)
        assert client.post(LOAD).status == 200
    over.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert all(len(found) == 1 for found in seen.values())
    assert {score for found in seen.values() for score in found} <= set(scores)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["m=nowhere"], "neither a bundle"),
        (["a b=run"], "cannot name a model"),
        (["/etc"], "neither a bundle"),
        (["m={run}", "m={run}"], "called 'm' already"),
    ],
)
def test_what_cannot_be_served_is_said(finished: Finished, words: list[str], told: str) -> None:
    with pytest.raises(dagfm.InputError, match=told):
        parse_models(word.format(run=finished.run) for word in words)


def test_a_path_alone_is_named_after_its_run(finished: Finished) -> None:
    assert list(parse_models([str(finished.run)])) == ["run"]
    assert list(parse_models([str(finished.bundle)])) == ["run"]


def test_a_signature_changes_with_every_file(place: Path) -> None:
    before = signature(place)
    assert signature(place) == before
    (place / "vocabulary" / "000.parquet").touch()
    assert signature(place) != before
    shutil.rmtree(place)
    assert signature(place) == ()


def test_a_late_worker_catches_up_from_the_copies(finished: Finished, place: Path, tmp_path: Path) -> None:
    """It loads what the others serve, whatever lies at the path; where their copy is gone it changes nothing."""
    (tmp_path / "copies").mkdir()
    other = another(finished.bundle, tmp_path / "other")
    settings = Settings({"m": str(place)}, copies=str(tmp_path / "copies"))
    repository = Repository(settings)
    changes = Changes(repository, Metrics())
    changes.start("m", {})
    first = changes.commit("m").digest
    mark = fingerprint(other)
    assert changes.catch_up("m", {mark: mark}).digest == first
    Snapshots(tmp_path / "copies").take(other, mark)
    assert changes.catch_up("m", {mark: mark}).digest == f"{mark}:{mark}"
    assert list(repository.models["m"].versions) == [mark]


def test_a_disk_that_is_away_is_no_bundle_and_no_crash(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The supervisor looks every two seconds, and would end with all that it serves."""

    def away(*arguments: object) -> bool:
        raise OSError(errno.ESTALE, "Stale file handle")

    whole = signature(place)
    with monkeypatch.context() as now:
        now.setattr(Path, "rglob", away)
        assert signature(place) == ()
    with monkeypatch.context() as now:
        now.setattr(Path, "is_file", away)
        assert signature(place) == ()
        assert locate(place) == {}
    assert signature(place) == whole


def test_a_worker_that_missed_an_unload_catches_up(place: Path) -> None:
    repository = Repository(Settings({"m": str(place)}))
    changes = Changes(repository, Metrics())
    changes.start("m", {})
    changes.commit("m")
    assert changes.catch_up("m", {}).digest == ""
    assert repository.models["m"].latest is None
    assert repository.unloaded == {"m"}
