"""A description as a whole: its figures against plain ones of polars, in one chunk, in many, and from samples."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from dagfm.data.describe import describe, passes, sketch
from dagfm.data.split import PARTS, TEST, TRAIN, VALID
from dagfm.errors import InputError

ROWS = 3000
RANDOM = np.random.default_rng(0)
CLICK = RANDOM.integers(0, 2, ROWS)
PART = np.array(["train"] * 2000 + ["valid"] * 500 + ["test"] * 500)
PLACES = {"train": TRAIN, "valid": VALID, "test": TEST}


def _told(folder: Path, columns: dict[str, Any], fields: list[dict[str, Any]], **data: Any) -> dict[str, Any]:
    """The description of a configuration over these columns, split by the column ``part``."""
    pl.DataFrame(columns).write_parquet(folder / "log.parquet")
    split = {"by": "column", "column": "part", "values": {"valid": "valid", "test": "test"}}
    config = {"data": {"train": "log.parquet", "label": "click", "split": split, **data}, "fields": fields}
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    told = describe(folder / "dagfm.yaml")
    json.dumps(told, allow_nan=False)
    assert list(folder.iterdir()) == [] or not (folder / ".dagfm").exists()
    return told


def _field(told: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in told["fields"] if one["name"] == name)
    return found


def _kinds(told: dict[str, Any]) -> set[tuple[str, ...]]:
    return {(one["kind"], *one["fields"]) for one in told["findings"]}


@pytest.mark.parametrize("chunk", [101, 1 << 17])
def test_figures_of_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(passes, "CHUNK", chunk)
    text = [None if n % 50 == 0 else f"v{n}" for n in RANDOM.zipf(1.5, ROWS) % 400]
    whole = RANDOM.integers(0, 300, ROWS)
    columns = {"click": CLICK, "part": PART, "text": text, "whole": whole}
    fields = [{"name": "text", "min_count": 3}, {"name": "whole"}]
    told = _told(tmp_path, columns, fields)
    assert told["rows"] == {"all": ROWS, "train": 2000, "valid": 500, "test": 500, "left_out": 0}
    assert told["label"]["rate"] == pytest.approx(CLICK.mean())
    for part in PARTS:
        assert told["label"]["rate_by_part"][part] == pytest.approx(CLICK[part == PART].mean())
    frame = pl.DataFrame(columns)
    for name, least in (("text", 3), ("whole", 1)):
        one = _field(told, name)
        assert one["distinct"] == {"count": frame[name].drop_nulls().n_unique(), "exact": True}
        assert one["missing"] == pytest.approx(frame[name].null_count() / ROWS)
        counts = frame[name].drop_nulls().value_counts(sort=True)
        assert [top["rows"] for top in one["top"]] == counts["count"].head(5).to_list()
        assert one["top"][0]["value"] == str(counts[name][0])
        training = frame.filter(part="train").group_by(name).len("seen")
        for key, need in (("unseen", 1), ("unknown", least)):
            for part in ("valid", "test"):
                here = frame.filter(part=part).join(training, on=name, how="left")
                lacking = here.filter(pl.col(name).is_not_null() & (pl.col("seen").fill_null(0) < need))
                assert one[key][part] == pytest.approx(lacking.height / here.height), (name, key, part)


@pytest.mark.parametrize("chunk", [77, 1 << 17])
@pytest.mark.parametrize("spelled", [False, True])
def test_figures_of_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int, spelled: bool) -> None:
    monkeypatch.setattr(passes, "CHUNK", chunk)
    values = RANDOM.normal(size=ROWS).round(1)
    cells = [None if n % 9 == 0 else value for n, value in enumerate(values.tolist())]
    cells[1:4] = [float("nan"), float("inf"), float("-inf")]
    if spelled:
        cells = [None if cell is None or cell != cell else str(cell) for cell in cells]
        cells[4:6] = ["many", ""]
    told = _told(tmp_path, {"click": CLICK, "part": PART, "x": cells}, [{"name": "x", "type": "float"}])
    finite = pl.Series([cell for cell in cells if cell not in (None, "many", "", "inf", "-inf")]).cast(pl.Float64)
    finite = finite.filter(finite.is_finite())
    one = _field(told, "x")["numbers"]
    assert (one["count"], one["min"], one["max"]) == (len(finite), finite.min(), finite.max())
    assert one["mean"] == pytest.approx(finite.mean())
    assert one["quantiles"]["0.25"] == finite.quantile(0.25, "lower")
    assert one["quantiles"]["0.95"] == finite.quantile(0.95, "lower")
    assert (one["nan"], one["infinite"], one["unreadable"]) == ((0, 2, 1) if spelled else (1, 2, 0))
    assert ("infinite", "x") in _kinds(told)
    assert one["example"] == ("many" if spelled else None)
    assert _field(told, "x")["distinct"]["count"] == finite.n_unique() + 2


@pytest.mark.parametrize("as_lists", [False, True])
def test_figures_of_sequences(tmp_path: Path, as_lists: bool) -> None:
    lists = [[f"t{n}" for n in RANDOM.integers(0, 8, size)] for size in RANDOM.integers(0, 5, ROWS)]
    cells: Any = lists if as_lists else ["|".join(items) for items in lists]
    told = _told(
        tmp_path,
        {"click": CLICK, "part": PART, "tags": cells, "vector": [[0.5, float(n % 3)] for n in range(ROWS)]},
        [
            {"name": "tags", "type": "token_seq", "separator": "|", "max_length": 2},
            {"name": "vector", "type": "float_seq", "size": 2},
        ],
    )
    one, sizes = _field(told, "tags"), [len(items) for items in lists]
    assert one["lengths"]["max"] == max(sizes) and one["lengths"]["mean"] == pytest.approx(np.mean(sizes))
    assert one["lengths"]["empty"] == sizes.count(0) and one["missing"] == pytest.approx(sizes.count(0) / ROWS)
    assert one["lengths"]["quantiles"]["0.5"] == int(np.quantile(sizes, 0.5, method="lower"))
    flat = [item for items in lists for item in items]
    assert one["distinct"] == {"count": len(set(flat)), "exact": True}
    assert one["top"][0]["rows"] == pl.Series(flat).value_counts(sort=True)["count"][0]
    assert _field(told, "vector")["numbers"]["mean"] == pytest.approx(0.75)
    assert _field(told, "vector")["lengths"]["min"] == 2


def test_a_list_of_a_million(tmp_path: Path) -> None:
    cells = [[1, 2], list(range(1_000_000)), [], None] * 3
    told = _told(
        tmp_path,
        {"click": [0, 1] * 6, "part": ["train"] * 8 + ["valid", "valid", "test", "test"], "items": cells},
        [{"name": "items", "type": "token_seq"}],
    )
    one = _field(told, "items")
    assert one["lengths"]["max"] == 1_000_000 and one["lengths"]["empty"] == 6
    assert not one["distinct"]["exact"] and abs(one["distinct"]["count"] / 1e6 - 1) < 0.02


def test_many_values_are_estimated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, "LIMIT", 2000)
    monkeypatch.setattr(passes, "SAMPLE", 5000)
    monkeypatch.setattr(passes, "CHUNK", 1000)
    rows = 40_000
    ids = np.where(RANDOM.random(rows) < 0.2, 7, RANDOM.integers(0, 30_000, rows))
    part = RANDOM.choice(["train", "valid", "test"], rows, p=[0.8, 0.1, 0.1])
    columns = {"click": RANDOM.integers(0, 2, rows), "part": part, "whole": ids, "text": [f"u{n}" for n in ids]}
    columns["x"] = RANDOM.normal(size=rows)
    told = _told(tmp_path, columns, [{"name": "whole"}, {"name": "text"}, {"name": "x", "type": "float"}])
    distinct = len(np.unique(ids))
    lacking = np.mean(~np.isin(ids[part == "test"], ids[part == "train"]))
    for name in ("whole", "text"):
        one = _field(told, name)
        assert not one["distinct"]["exact"] and abs(one["distinct"]["count"] / distinct - 1) < 0.1
        assert abs(one["unseen"]["test"] - lacking) < 0.06
        assert one["top"][0]["value"] in ("7", "u7") and abs(one["top"][0]["share"] - 0.2) < 0.03
        assert not one["drift"]["test"]["large"] and one["alone"]["auc"] < 0.6
    assert abs(_field(told, "x")["distinct"]["count"] / rows - 1) < 0.1
    assert abs(_field(told, "x")["numbers"]["quantiles"]["0.5"]) < 0.1
    assert told["sampled"] is True


def test_leaks_are_found_and_honest_fields_are_not(tmp_path: Path) -> None:
    columns = {
        "click": CLICK,
        "part": PART,
        "number": CLICK + RANDOM.normal(size=ROWS) / 9,
        "falling": -CLICK + RANDOM.normal(size=ROWS) / 9,
        "bowl": (CLICK * 2 - 1) * RANDOM.choice([-1, 1], ROWS) * 0
        + np.where(CLICK, 5, 0) * RANDOM.choice([-1, 1], ROWS),
        "filled": [f"t{n % 40}" if click else None for n, click in enumerate(CLICK)],
        "dwell_time": RANDOM.normal(size=ROWS),
        "good": np.where(RANDOM.random(ROWS) < 0.4, RANDOM.integers(0, 2, ROWS), CLICK),
        "noise": RANDOM.integers(0, 900, ROWS),
    }
    kinds = {"number": "float", "falling": "float", "bowl": "float", "dwell_time": "float"}
    fields = [{"name": name, "type": kinds.get(name, "token")} for name in columns if name not in ("click", "part")]
    told = _told(tmp_path, columns, fields)
    leaks = {one["fields"][0] for one in told["findings"] if one["kind"] == "leak"}
    assert leaks == {"number", "falling", "bowl", "filled"}
    assert ("outcome", "dwell_time") in _kinds(told)
    assert _field(told, "falling")["alone"]["by"] == "the number itself, falling"


def _pairs(determined: bool) -> pl.DataFrame:
    """A log like Frappe's: a few users use a few items again and again; what they never use is drawn at random."""
    random = np.random.default_rng(3)
    users, items = random.integers(0, 60, 2000), random.integers(0, 300, 2000)
    again = random.integers(0, 2000, 9000)
    label = random.integers(0, 3, 2000)[again] == 0 if determined else random.integers(0, 3, 9000) == 0
    return pl.DataFrame(
        {
            "user": users[again],
            "item": items[again],
            "weather": random.integers(0, 9, 9000),
            "click": label.astype(int),
        }
    )


@pytest.mark.parametrize("determined", [True, False])
def test_pairs_that_determine_the_label(tmp_path: Path, determined: bool) -> None:
    frame = _pairs(determined)
    frame.write_parquet(tmp_path / "log.parquet")
    told = describe(str(tmp_path / "log.parquet"), "click")
    pair = next(one for one in told["pairs"] if one["fields"] == ["user", "item"])
    groups = frame.group_by("user", "item").agg(pl.len().alias("n"), pl.col("click").sum().alias("c"))
    again = groups.filter(pl.col("n") > 1)
    n, c = again["n"].to_numpy(), again["c"].to_numpy()
    found = pair["repetition"]
    assert pair["distinct"] == {"count": groups.height, "exact": True}
    assert found["repeated"] == pytest.approx(n.sum() / frame.height)
    same = ((c * (c - 1) + (n - c) * (n - c - 1)) / (n - 1)).sum() / n.sum()
    assert found["same"] == pytest.approx(same)
    rate = c.sum() / n.sum()
    assert found["by_chance"] == pytest.approx(rate**2 + (1 - rate) ** 2)
    assert (found["determined"] > 0.9) is determined
    sentences = [one["text"] for one in told["findings"] if one["kind"] == "determined_pair"]
    if determined:
        assert any("user and item together" in text and "measures memory of pairs" in text for text in sentences)
    else:
        assert not sentences and abs(found["determined"]) < 0.1
    assert pair["seen"]["test"] > 0.8


def test_drift_that_is_planted_is_flagged(tmp_path: Path) -> None:
    late = PART == "test"
    columns = {
        "click": np.where(late & (RANDOM.random(ROWS) < 0.6), 1, CLICK),
        "part": PART,
        "shop": np.where(late, RANDOM.integers(5, 15, ROWS), RANDOM.integers(0, 10, ROWS)),
        "price": RANDOM.normal(size=ROWS) + 2 * late,
        "calm": RANDOM.integers(0, 10, ROWS),
    }
    told = _told(tmp_path, columns, [{"name": "shop"}, {"name": "price", "type": "float"}, {"name": "calm"}])
    kinds = _kinds(told)
    assert {("drift", "shop"), ("drift", "price"), ("label_drift",), ("unseen", "shop")} <= kinds
    assert not any("calm" in one for one in kinds)


def test_ids_that_are_odd(tmp_path: Path) -> None:
    columns = {
        "click": CLICK,
        "part": PART,
        "floats": RANDOM.integers(0, 9, ROWS).astype(float),
        "spelled": [f"{n}.0" if n % 2 else f"{n}e5" for n in RANDOM.integers(1, 9, ROWS)],
        "zeros": [f"{n:05d}" for n in RANDOM.integers(0, 99, ROWS)],
        "long": [str(2**63 - 1 + n) for n in RANDOM.integers(0, 9, ROWS).tolist()],
        "unsigned": pl.Series(RANDOM.integers(0, 9, ROWS).astype(np.uint64) + np.uint64(2**63)),
        "plain": RANDOM.integers(0, 9, ROWS),
        "same": ["x"] * ROWS,
        "empty": pl.Series([None] * ROWS, dtype=pl.String),
        "row": [f"r{n}" for n in range(ROWS)],
    }
    told = _told(tmp_path, columns, [{"name": name} for name in columns if name not in ("click", "part")])
    kinds = _kinds(told)
    assert kinds == {
        ("float_ids", "floats"),
        ("float_ids", "spelled"),
        ("leading_zeros", "zeros"),
        ("beyond_int64", "long"),
        ("beyond_int64", "unsigned"),
        ("constant", "same"),
        ("empty", "empty"),
        ("unique", "row"),
    }
    assert _field(told, "long")["spelling"]["beyond_int64"]["values"] == 8  # 2^63 - 1 itself fits


def test_weights_and_rows_that_are_left_out(tmp_path: Path) -> None:
    rating = RANDOM.integers(1, 6, ROWS)
    weight = RANDOM.integers(0, 4, ROWS)
    told = _told(
        tmp_path,
        {"rating": rating, "part": PART, "w": weight, "x": RANDOM.integers(0, 9, ROWS)},
        [{"name": "x"}],
        label={"column": "rating", "positive_from": 4, "drop": [3]},
        weight="w",
    )
    kept = rating != 3
    assert told["rows"]["left_out"] == int((~kept).sum())
    assert told["label"]["rate"] == pytest.approx(weight[kept & (rating >= 4)].sum() / weight[kept].sum())
    assert told["weight"] == {
        "min": 0,
        "mean": pytest.approx(weight[kept].mean()),
        "max": 3,
        "zero": int((weight[kept] == 0).sum()),
    }


def test_aggregated_rows(tmp_path: Path) -> None:
    shown, clicked = RANDOM.integers(1, 9, ROWS), np.zeros(ROWS, int)
    clicked[::3] = 1
    told = _told(
        tmp_path,
        {"shown": shown, "clicked": clicked, "part": PART, "x": clicked, "y": RANDOM.integers(0, 99, ROWS)},
        [{"name": "x"}, {"name": "y"}],
        label={"clicks": "clicked", "impressions": "shown"},
    )
    assert told["label"]["rate"] == pytest.approx(clicked.sum() / shown.sum())
    assert told["pairs"] == [] and _field(told, "x")["repetition"] is None


def test_crosses_time_parts_and_shared_vocabularies(tmp_path: Path) -> None:
    a, b = RANDOM.integers(0, 40, ROWS), RANDOM.integers(0, 40, ROWS)
    stamp = np.sort(RANDOM.integers(1_700_000_000, 1_700_600_000, ROWS))
    columns = {"click": CLICK, "part": PART, "a": a, "b": b, "ts": stamp}
    columns["history"] = [["1", "2"]] * 2000 + [["3", str(n)] for n in b[2000:]]
    told = _told(
        tmp_path,
        columns,
        [
            {"name": "a"},
            {"name": "b"},
            {"name": "ab", "cross": ["a", "b"]},
            {"name": "hour", "column": "ts", "encode": "hour"},
            {"name": "history", "type": "token_seq", "vocabulary": "b"},
        ],
    )
    assert [one["name"] for one in told["fields"]] == ["a", "b", "ab", "hour", "history"]
    pairs = a * 1000 + b
    assert _field(told, "ab")["distinct"]["count"] == len(np.unique(pairs))
    lacking = ~np.isin(pairs[2500:], pairs[:2000])
    assert _field(told, "ab")["unseen"]["test"] == pytest.approx(lacking.mean())
    assert _field(told, "hour")["distinct"]["count"] == 24
    assert _field(told, "history")["unseen"]["test"] == 0
    bins = told["time"]["bins"]
    assert len(bins) == 10 and bins[0]["from"] == "2023-11-14 22:15:36"[:10] + bins[0]["from"][10:]
    assert bins[0]["parts"]["train"] == 1 and bins[-1]["parts"]["test"] == 1
    assert bins[2]["rate"] == pytest.approx(CLICK[600:900].mean(), abs=0.01)


def test_files_of_each_part(tmp_path: Path) -> None:
    for part in ("train", "valid", "test"):
        here = part == PART
        pl.DataFrame({"click": CLICK[here], "x": CLICK[here]}).write_parquet(tmp_path / f"{part}.parquet")
    data = {part: f"{part}.parquet" for part in ("train", "valid", "test")}
    config = {"data": {**data, "label": "click"}, "fields": [{"name": "x"}]}
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config))
    told = describe(tmp_path / "c.yaml")
    assert told["split"]["by"] == "files" and told["rows"]["valid"] == 500


def test_one_class_and_one_row_are_described_not_refused(tmp_path: Path) -> None:
    told = _told(tmp_path, {"click": [0] * 9, "part": ["train"] * 9, "x": range(9)}, [{"name": "x"}])
    assert {("one_class",), ("empty_part",)} <= _kinds(told)
    assert _field(told, "x")["alone"] is None
    told = _told(
        tmp_path,
        {"click": [1], "part": ["test"], "x": [None], "y": [1.5]},
        [{"name": "x"}, {"name": "y", "type": "float"}],
    )
    assert told["rows"]["test"] == 1 and _field(told, "x")["missing"] == 1
    assert _field(told, "y")["numbers"]["quantiles"]["0.5"] == 1.5


def test_rows_that_are_all_left_out(tmp_path: Path) -> None:
    label = {"column": "click", "positive_from": 4, "drop": [3]}
    told = _told(tmp_path, {"click": [3], "part": ["train"], "x": [1]}, [{"name": "x"}], label=label)
    assert _kinds(told) >= {("no_rows",)} and told["rows"]["left_out"] == 1


def test_a_file_is_described_with_what_init_would_leave_out(tmp_path: Path) -> None:
    columns = {
        "click": CLICK,
        "shop": RANDOM.integers(0, 9, ROWS),
        "same": ["x"] * ROWS,
        "told": CLICK * 2.5,
        "at": [f"2024-05-{1 + n % 28:02d} {n % 24:02d}:30" for n in range(ROWS)],
        "odd": [{"a": 1}] * ROWS,
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "log.parquet")
    told = describe(str(tmp_path / "log.parquet"))
    assert [one["name"] for one in told["fields"]] == ["shop", "hour", "weekday", "is_weekend", "same", "told", "at"]
    assert _field(told, "same")["left_out"] and _field(told, "shop")["left_out"] is None
    assert {("leak", "told"), ("left_out", "same"), ("left_out", "at")} <= _kinds(told)
    assert "no field type reads" in told["not_described"]["odd"]
    assert told["time"]["bins"][0]["from"] == "2024-05-01 00:30:00"
    assert told["configured"] is False and told["split"] == {"by": "random", "column": None}


def test_what_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    with pytest.raises(InputError, match=r"nowhere\.parquet"):
        describe(str(tmp_path / "nowhere.parquet"))
    columns = {"click": [0, 1, None], "part": ["train", "valid", "test"], "x": [1, 2, 3]}
    with pytest.raises(InputError, match=r"log\.parquet: row 3: label 'click' is empty"):
        _told(tmp_path, columns, [{"name": "x"}])
    columns["click"] = [0, 3, 1]
    columns["at"] = ["2024-01-01", "never", "soon"]
    label = {"column": "click", "positive_from": 1, "drop": [3]}
    with pytest.raises(InputError, match=r"log\.parquet: row 3: column 'at' holds 'soon'"):
        _told(tmp_path, columns, [{"name": "h", "column": "at", "encode": "hour"}], label=label)
    assert not (tmp_path / ".dagfm").exists()
    with pytest.raises(InputError, match="x2"):
        _told(tmp_path, {**columns, "click": [0, 1, 0]}, [{"name": "x2"}])
