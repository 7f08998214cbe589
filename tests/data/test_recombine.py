"""Recombined rows are what the encoder makes of a log in which somebody exchanged the raw values."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import FIELDS, Silent, click_log

from dagfm.config import load_config
from dagfm.data import recombine
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.data.recombine import Recombination, draw_columns, draw_pairs, recombined
from dagfm.data.shuffle import Shuffle
from dagfm.encoding.rows import Rows

CROSSED: list[dict[str, Any]] = [
    *FIELDS,
    {"name": "user_rate", "column": "user", "encode": "target", "side": "context"},
    {"name": "user_x_item", "cross": ["user", "item"]},
    {"name": "user_x_group", "cross": ["user", "group"], "encode": "target"},
    {"name": "group_x_item", "cross": ["group", "item"], "encode": "target"},
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("recombined")
    click_log(800).write_parquet(folder / "log.parquet")
    config = {"data": {"train": str(folder / "log.parquet"), "label": "click"}, "fields": CROSSED}
    return prepare(load_config(config), folder, Silent())


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return click_log(60, seed=1)


def assert_equal(found: Rows, expected: Rows) -> None:
    np.testing.assert_array_equal(found.tokens, expected.tokens)
    np.testing.assert_array_equal(found.floats, expected.floats)
    for one, other in zip(found.sequences, expected.sequences, strict=True):
        np.testing.assert_array_equal(one.offsets, other.offsets)
        np.testing.assert_array_equal(one.values, other.values)


def test_one_column_of_another_row(prepared: Prepared, frame: pl.DataFrame) -> None:
    encoder = prepared.encoder
    base, donor = np.random.default_rng(0).integers(0, frame.height, (2, 300))
    column = np.arange(300) % len(encoder.schema.columns)
    raw = [
        {**frame.row(b, named=True), name: frame[name][int(d)]}
        for b, d, name in ((int(b), d, encoder.schema.columns[c]) for b, d, c in zip(base, donor, column, strict=True))
    ]
    made = recombined(encoder.encode(frame), encoder, Recombination(base, donor, column))
    assert_equal(made, encoder.encode(pl.DataFrame(raw, schema=frame.schema)))


def test_the_candidate_of_another_row(prepared: Prepared, frame: pl.DataFrame) -> None:
    encoder = prepared.encoder
    base, donor = np.random.default_rng(0).integers(0, frame.height, (2, 300))
    context = ["user", "group"]
    raw = pl.concat([frame[base].select(context), frame[donor].drop(context)], how="horizontal")
    made = recombined(encoder.encode(frame), encoder, Recombination(base, donor))
    assert_equal(made, encoder.encode(raw))


@pytest.mark.parametrize("column", [None, np.array([0, 2], np.int32)])
def test_training_rows_before_them_keep_their_statistics(prepared: Prepared, column: np.ndarray | None) -> None:
    rows, first = prepared.train.rows, np.arange(200)
    made = recombined(rows, prepared.encoder, Recombination(np.array([3, 5]), np.array([7, 8]), column), after=first)
    assert len(made) == 202
    assert_equal(made.take(first), rows.take(first))


@pytest.mark.parametrize("column", [None, 0, 2])
def test_a_row_recombined_with_itself_is_the_training_row(prepared: Prepared, column: int | None) -> None:
    """A statistic that is made anew leaves out the fold of the base row, as a training row's does."""
    rows, all_rows = prepared.train.rows, np.arange(len(prepared.train))
    columns = None if column is None else np.full(len(all_rows), column, np.int32)
    itself = Recombination(all_rows, all_rows, columns)
    assert_equal(recombined(rows, prepared.encoder, itself, held_out=prepared.train.held_out), rows.take(all_rows))
    served = recombined(rows, prepared.encoder, itself)
    assert (served.floats != rows.floats).any()


def test_what_is_not_exchanged_keeps_its_statistics_too(prepared: Prepared) -> None:
    rows, schema = prepared.train.rows, prepared.encoder.schema
    base = np.arange(200)
    price = np.full(200, schema.columns.index("price"), np.int32)
    made = recombined(rows, prepared.encoder, Recombination(base, base[::-1], price))
    at = schema.numbers_column("price")
    np.testing.assert_array_equal(made.floats[:, at], rows.floats[:200, at][::-1])
    np.testing.assert_array_equal(np.delete(made.floats, at, 1), np.delete(rows.floats[:200], at, 1))
    np.testing.assert_array_equal(made.tokens, rows.tokens[:200])


@pytest.mark.parametrize("window", [1 << 20, 4000])
def test_every_id_is_drawn_as_often_however_frequent_it_is(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(recombine, "Shuffle", lambda rows, seed: Shuffle(rows, seed, window=window, block=10))
    ids = np.random.default_rng(0).zipf(1.3, 20_000) % 40
    pairs = [*draw_pairs(20_000, 80_000, seed=1, ids=ids)]
    base, donor = (np.concatenate([pair[part] for pair in pairs]) for part in range(2))
    np.testing.assert_allclose(np.bincount(ids[donor]), 2000, rtol=0.15)
    of_first = np.bincount(donor)[np.flatnonzero(ids == 1)]
    assert of_first.max() <= 8  # not one row of an id for all
    assert abs(np.mean(ids[base] == 1) - np.mean(ids == 1)) < 0.01


def test_every_column_is_drawn_as_often() -> None:
    runs = [*draw_columns(5, 3_000_000, seed=4)]
    assert [len(run) for run in runs] == [1 << 20, 1 << 20, 3_000_000 - (1 << 21)]
    times = np.bincount(np.concatenate(runs))
    np.testing.assert_allclose(times, 600_000, rtol=0.01)
