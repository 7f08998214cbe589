"""Ids that a single training row holds are not shown to training, nor what is made of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Silent

from dagfm.config import load_config
from dagfm.data.batches import Batches
from dagfm.data.dataset import Prepared
from dagfm.data.hiding import Hiding
from dagfm.data.prepare import prepare
from dagfm.schema import FIRST, MISSING, UNKNOWN

FIELDS = [
    {"name": "user"},
    {"name": "item"},
    {"name": "pair", "cross": ["user", "item"]},
    {"name": "user_rate", "column": "user", "vocabulary": "user", "encode": "target", "bins": 4},
    {"name": "pair_rate", "cross": ["user", "item"], "encode": "target"},
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("hiding")
    random = np.random.default_rng(0)
    user = np.where(random.random(600) < 0.1, random.integers(1000, 9000, 600), random.integers(0, 9, 600))
    frame = pl.DataFrame({"user": user, "item": random.integers(0, 8, 600), "click": random.integers(0, 2, 600)})
    frame.write_parquet(folder / "log.parquet")
    config = {"data": {"train": str(folder / "log.parquet"), "label": "click"}, "fields": FIELDS}
    return prepare(load_config(config), folder, Silent())


@pytest.fixture
def hiding(prepared: Prepared) -> Hiding:
    found = Hiding.of(prepared.train, prepared.encoder)
    assert found is not None
    return found


def test_exactly_the_ids_of_one_row_are_hidden_with_all_that_is_made_of_them(
    prepared: Prepared, hiding: Hiding
) -> None:
    rows, schema = prepared.train.rows, prepared.encoder.schema
    shown = hiding.hide(rows, len(rows))
    user, pair, user_rate = (schema.ids_column(name) for name in ("user", "pair", "user_rate"))
    single_user = np.bincount(rows.tokens[:, user])[rows.tokens[:, user]] == 1
    single_pair = np.bincount(rows.tokens[:, pair])[rows.tokens[:, pair]] == 1
    assert 20 < single_user.sum() < single_pair.sum() < len(rows) - 100
    np.testing.assert_array_equal(shown.tokens[:, user], np.where(single_user, UNKNOWN, rows.tokens[:, user]))
    np.testing.assert_array_equal(shown.tokens[:, pair], np.where(single_pair, UNKNOWN, rows.tokens[:, pair]))
    assert (shown.tokens[single_user, user_rate] == MISSING).all()
    np.testing.assert_array_equal(shown.tokens[~single_user, user_rate], rows.tokens[~single_user, user_rate])
    assert np.isnan(shown.floats[single_user]).all()
    item = schema.ids_column("item")
    np.testing.assert_array_equal(shown.tokens[:, item], rows.tokens[:, item])


def test_the_prepared_rows_stay_as_they_are(prepared: Prepared, hiding: Hiding) -> None:
    before = prepared.train.rows.take(np.arange(100))
    hiding.hide(before, 100)
    np.testing.assert_array_equal(before.tokens, prepared.train.rows.tokens[:100])


def test_rows_behind_the_training_rows_show_all(prepared: Prepared, hiding: Hiding) -> None:
    rows = prepared.train.rows.take(np.arange(200))
    shown = hiding.hide(rows, 50)
    np.testing.assert_array_equal(shown.tokens[50:], rows.tokens[50:])
    assert (shown.tokens[:50] != rows.tokens[:50]).any()


def test_what_is_learned_that_way_counts_as_trained(prepared: Prepared, hiding: Hiding) -> None:
    spans, names = prepared.encoder.spans, prepared.encoder.schema.names
    before, after = prepared.counts, hiding.seen(prepared.counts, prepared.encoder)
    for name, row in (("user", UNKNOWN), ("pair", UNKNOWN)):
        start = spans.slice_of(names.index(name)).start
        assert before[start + row] == 0 and after[start + row] == 1
    start = spans.slice_of(names.index("item")).start
    assert after[start + UNKNOWN] == before[start + UNKNOWN] == 0
    assert (after[spans.starts + FIRST] == before[spans.starts + FIRST]).all()


def test_where_every_id_comes_again_nothing_is_hidden(tmp_path: Path) -> None:
    frame = pl.DataFrame({"user": ["a", "b"] * 50, "click": [0, 1, 1, 0] * 25})
    frame.write_parquet(tmp_path / "log.parquet")
    config = {"data": {"train": str(tmp_path / "log.parquet"), "label": "click"}, "fields": [{"name": "user"}]}
    made = prepare(load_config(config), tmp_path, Silent())
    assert Hiding.of(made.train, made.encoder) is None


def test_batches_show_what_is_left(prepared: Prepared, hiding: Hiding) -> None:
    plain, hidden = (
        next(iter(Batches(prepared.train, prepared.encoder, 64, 3, hiding=one).epoch(0))) for one in (None, hiding)
    )
    np.testing.assert_array_equal(hidden.rows.tokens, hiding.hide(plain.rows, 64).tokens)
    np.testing.assert_array_equal(hidden.labels, plain.labels)
