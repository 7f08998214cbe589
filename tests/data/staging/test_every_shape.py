"""Out-of-core preparation against the plainest way in memory, for fields of every shape."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Silent
from oracle import fitted, row_counts

from dagfm.config import Config, load_config
from dagfm.data import prepare as preparing
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.encoding.beta import Beta
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Rows
from dagfm.encoding.statistics import Statistics
from dagfm.errors import InputError
from dagfm.schema import MISSING, UNKNOWN

FIELDS: list[dict[str, Any]] = [
    {"name": "user", "min_count": 3, "side": "context"},
    {"name": "device", "hash": 3, "side": "context"},
    {"name": "hour", "column": "time", "encode": "hour", "side": "context"},
    {"name": "day", "column": "time", "encode": "weekday", "side": "context"},
    {"name": "free", "column": "time", "encode": "is_weekend", "side": "context"},
    {"name": "age", "type": "float", "encode": "quantile", "bins": 4, "side": "context"},
    {
        "name": "history",
        "type": "token_seq",
        "separator": "|",
        "max_length": 3,
        "vocabulary": "item",
        "side": "context",
    },
    {"name": "item", "max_size": 20, "side": "candidate"},
    {"name": "price", "type": "float", "side": "candidate"},
    {"name": "price_step", "column": "price", "type": "float", "encode": "log_squared", "side": "candidate"},
    {"name": "place", "type": "float_seq", "size": 2, "side": "candidate"},
    {"name": "user_item", "cross": ["user", "item"], "min_count": 2},
    {"name": "age_item", "cross": ["age", "item"], "hash": 50},
    {"name": "item_rate", "column": "item", "encode": "target", "vocabulary": "item", "side": "candidate"},
    {"name": "user_item_rate", "cross": ["user", "item"], "encode": "target", "bins": 4},
]
TARGETS = ("item_rate", "user_item_rate")


def log(n: int = 3000, seed: int = 0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    users, items = random.integers(0, 60, n), random.integers(0, 40, n)
    return pl.DataFrame(
        {
            "user": [None if user == 0 else f"u{user:03d}" for user in users],
            "device": [["phone", "", "tv", "pad"][user % 4] for user in users],
            "time": 1_700_000_000 + np.arange(n) * 311,
            "age": [None if user % 7 == 0 else float(user) for user in users],
            "history": ["|".join(map(str, random.integers(0, 45, size))) for size in random.integers(0, 5, n)],
            "item": items,
            "price": [
                None if index % 13 == 0 else value for index, value in enumerate(random.lognormal(2, 2, n).round(3))
            ],
            "place": [
                None if index % 11 == 0 else [value, 2 * value] for index, value in enumerate(random.normal(size=n))
            ],
            "click": (random.random(n) < 0.2 + 0.6 * ((users + items) % 3 == 0)).astype(int),
        }
    )


def config(train: Path | str, **data: Any) -> Config:
    return load_config({"data": {"train": str(train), "label": "click", **data}, "fields": FIELDS})


def parts_of(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    order = np.random.default_rng(2022).permutation(frame.height)
    tenth = frame.height // 10
    rows = {"train": order[2 * tenth :], "valid": order[tenth : 2 * tenth], "test": order[:tenth]}
    return {name: frame[np.sort(some)] for name, some in rows.items()}


def same(mine: Rows, theirs: Rows, encoder: Encoder, without: tuple[str, ...] = ()) -> None:
    schema = encoder.schema
    for field in schema:
        if field.name in without:
            continue
        if field.form == "ids":
            column = schema.ids_column(field.name)
            np.testing.assert_array_equal(mine.tokens[:, column], theirs.tokens[:, column], field.name)
        elif field.form == "numbers":
            first = schema.numbers_column(field.name)
            at = slice(first, first + field.width)
            np.testing.assert_allclose(mine.floats[:, at], theirs.floats[:, at], rtol=1e-5, err_msg=field.name)
    for one, other in zip(mine.sequences, theirs.sequences, strict=True):
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_array_equal(one.values, other.values)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("shapes")
    log().write_parquet(folder / "log.parquet")
    return prepare(config(folder / "log.parquet"), folder, Silent())


def test_what_is_learned_is_what_memory_would_have_learned(prepared: Prepared) -> None:
    plain = fitted(prepared.encoder.schema, parts_of(log())["train"])
    for name, vocabulary in prepared.encoder.vocabularies.items():
        assert vocabulary.tokens.to_list() == plain.vocabularies[name].tokens.to_list()
        assert vocabulary.counts.to_list() == plain.vocabularies[name].counts.to_list()
    for name, scale in plain.scales.items():
        np.testing.assert_allclose(prepared.encoder.scales[name].mean, scale.mean, rtol=1e-12)
        np.testing.assert_allclose(prepared.encoder.scales[name].std, scale.std, rtol=1e-12)
    assert prepared.encoder.bins == plain.bins
    mine, theirs = (one.crosses["user_item"] for one in (prepared.encoder, plain))
    np.testing.assert_array_equal(mine.keys, theirs.keys)  # type: ignore[union-attr]
    np.testing.assert_array_equal(mine.counts, theirs.counts)  # type: ignore[union-attr]


@pytest.mark.parametrize("part", ["train", "valid", "test"])
def test_rows_are_what_the_encoder_makes_of_them(prepared: Prepared, part: str) -> None:
    """A request and a validation row are encoded alike; training rows differ in their target statistics alone."""
    dataset = getattr(prepared, part)
    frame = parts_of(log())[part]
    same(dataset.rows, prepared.encoder.encode(frame), prepared.encoder, TARGETS if part == "train" else ())
    np.testing.assert_array_equal(dataset.labels, frame["click"].to_numpy())


def test_counts_are_those_of_the_training_rows(prepared: Prepared) -> None:
    np.testing.assert_array_equal(prepared.counts, row_counts(prepared.train.rows, prepared.encoder))


def test_shared_vocabularies_share_their_rows(prepared: Prepared) -> None:
    spans, names = prepared.encoder.spans, prepared.encoder.schema.names
    assert spans.starts[names.index("history")] == spans.starts[names.index("item")]
    assert spans.total == sum(int(spans.sizes[node]) for node in spans.own)
    texts = parts_of(log())["train"]
    items = texts["item"].cast(pl.String).to_list()
    items += [item for cell in texts["history"].to_list() for item in cell.split("|")[:3] if item]
    tokens = prepared.encoder.vocabularies["item"].tokens.to_list()
    assert len(tokens) == 20 and tokens[0] == max(set(items), key=items.count)


def test_a_target_statistic_is_of_the_training_rows(prepared: Prepared) -> None:
    training = parts_of(log())["train"]
    statistics: Statistics = prepared.encoder.statistics["item_rate"]
    vocabulary = prepared.encoder.vocabularies["item"]
    token = vocabulary.tokens[3]
    of_item = training.filter(pl.col("item").cast(pl.String) == token)
    assert statistics.rows[5] == of_item.height and statistics.clicks[5] == of_item["click"].sum()
    assert statistics.rows[UNKNOWN] == 0 and statistics.rows[MISSING] == 0
    assert statistics.prior == Beta.fit(statistics.clicks, statistics.rows)


def test_training_rows_are_not_told_their_own_fold(prepared: Prepared) -> None:
    rows, encoder = prepared.train.rows, prepared.encoder
    column = encoder.schema.numbers_column("item_rate")
    ids = rows.tokens[:, encoder.schema.ids_column("item")]
    scale = encoder.statistics["item_rate"].form
    counts = np.expm1(rows.floats[:, column + 1] * scale.std[1] + scale.mean[1])  # type: ignore[union-attr]
    whole = encoder.statistics["item_rate"].rows[ids]
    assert np.array_equal(np.isnan(counts), whole == 0)
    known = whole > 0
    assert (counts[known] <= whole[known] + 0.5).all()
    assert 0.9 < counts[known].sum() / whole.sum() < 0.98
    assert len({round(float(count)) for count in counts[ids == 5]}) > 3


@pytest.mark.parametrize("rows", [1, 7, 500, 10_000])
def test_any_cut_of_the_rows_gives_the_same_bytes(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    frame = log()[:400] if rows < 100 else log()
    monkeypatch.setattr(preparing, "_ROWS", rows)
    monkeypatch.setattr(preparing, "_LEAST_ROWS", 1)
    bounds = [0, 1, frame.height // 3, frame.height]
    for number, (start, stop) in enumerate(pairwise(bounds)):
        frame[start:stop].write_parquet(tmp_path / f"{number}.parquet", row_group_size=37 * (number + 1))
    again = prepare(config(tmp_path / "*.parquet"), tmp_path, Silent())
    if rows < 100:
        monkeypatch.undo()
        frame.write_parquet(tmp_path / "whole.parquet")
        prepared = prepare(config(tmp_path / "whole.parquet"), tmp_path, Silent())
    assert again.content == prepared.content and again.fingerprint != prepared.fingerprint


def test_many_passes_over_the_texts_learn_the_same(
    tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagfm.data.staging.merge.ENTRY_BYTES", 10**9 // 20)
    log().write_parquet(tmp_path / "log.parquet")
    again = prepare(config(tmp_path / "log.parquet"), tmp_path, Silent())
    assert again.content == prepared.content
    assert again.facts == prepared.facts


def test_collisions_of_hashes_are_counted(prepared: Prepared) -> None:
    (found,) = prepared.facts["collisions"]
    distinct = 3  # the empty text is missing
    assert found["distinct"] == distinct and found["used"] + found["colliding"] >= distinct


def test_by_time_training_rows_know_the_past_alone(tmp_path: Path) -> None:
    frame = log().sample(fraction=1.0, shuffle=True, seed=1)  # the clock goes backwards, too
    frame.write_parquet(tmp_path / "log.parquet")
    made = prepare(config(tmp_path / "log.parquet", split={"by": "time", "column": "time"}), tmp_path, Silent())
    times = frame["time"].to_numpy()
    limits = np.sort(times)[[2400, 2700]]
    training = frame.filter(pl.Series(times < limits[0]))
    assert [len(made.train), len(made.valid), len(made.test)] == [2400, 300, 300]
    encoder = made.encoder
    scale = encoder.statistics["item_rate"].form
    column = encoder.schema.numbers_column("item_rate")
    counts = np.expm1(made.train.rows.floats[:, column + 1] * scale.std[1] + scale.mean[1])  # type: ignore[union-attr]
    order = np.argsort(training["time"].to_numpy())
    assert np.isnan(counts[order[:48]]).all() and np.nanmean(counts[order[-48:]]) > 20
    earlier = training["time"].to_numpy()
    items = training["item"].to_numpy()
    known = made.train.rows.tokens[:, encoder.schema.ids_column("item")] > MISSING
    for row in order[::97]:
        if known[row]:
            before = int(((items == items[row]) & (earlier < earlier[row])).sum())
            assert round(float(np.nan_to_num(counts[row]))) <= before


def test_a_dictionary_of_more_rows_than_these_brings_no_values_of_theirs(tmp_path: Path) -> None:
    """Row groups are larger than chunks: a value that only the second chunk holds is in the first one's dictionary."""
    frame = pl.DataFrame(
        {"item": ["a", "b"] * 400 + ["late"] * 200, "price": ["1"] * 999 + ["dear"], "click": [0, 1] * 500}
    )
    frame.write_parquet(tmp_path / "log.parquet")
    fields = [{"name": "item"}, {"name": "price", "type": "float"}]
    made = load_config({"data": {"train": str(tmp_path / "log.parquet"), "label": "click"}, "fields": fields})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preparing, "_ROWS", 100)
        with pytest.raises(InputError, match=r"row 1000: column 'price' holds 'dear', expected a number"):
            prepare(made, tmp_path, Silent())
