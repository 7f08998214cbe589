"""Sums by value: exact while values are few, a uniform sample of the values with all their rows beyond that."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from dagfm.data.describe.rows import SUMS, Rows, scattered
from dagfm.data.describe.sketch import Sketch


def _rows(clicks: np.ndarray, parts: np.ndarray | None = None, weights: np.ndarray | None = None) -> Rows:
    parts = np.zeros(len(clicks), np.uint8) if parts is None else parts.astype(np.uint8)
    return Rows(np.arange(len(clicks)), parts, clicks.astype(np.float32), weights)


def _filled(values: np.ndarray, rows: Rows, limit: int, chunk: int) -> Sketch:
    sketch = Sketch(limit)
    for start in range(0, len(values), chunk):
        some = np.arange(start, min(start + chunk, len(values)))
        distinct, codes = np.unique(values[some], return_inverse=True)
        sketch.add(pl.Series(distinct).hash().to_numpy(), rows.take(some).sums(codes, len(distinct)))
    return sketch


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_few_values_are_counted_exactly(chunk: int) -> None:
    random = np.random.default_rng(0)
    values, parts = random.integers(0, 40, 500), random.integers(0, 3, 500)
    weights = random.random(500).astype(np.float32)
    rows = _rows(random.integers(0, 2, 500), parts, weights)
    sketch = _filled(values, rows, 100, chunk)
    assert sketch.exact and sketch.distinct == len(np.unique(values)) and sketch.share == 1
    for value in np.unique(values):
        here = values == value
        sums = sketch.sums[sketch.keys == pl.Series([value]).hash().to_numpy()[0]][0]
        assert sums[:3].tolist() == [int((here & (parts == part)).sum()) for part in range(3)]
        halves = [here & (rows.half == half) for half in range(2)]
        np.testing.assert_allclose(sums[3:5], [weights[half].sum() for half in halves], rtol=1e-6)
        np.testing.assert_allclose(sums[5:], [(weights * rows.clicks)[half].sum() for half in halves], rtol=1e-6)


def test_many_values_are_estimated_and_those_kept_have_all_their_rows() -> None:
    random = np.random.default_rng(1)
    values = random.zipf(1.2, 200_000) % 1_000_003
    rows = _rows(random.integers(0, 2, len(values)), random.integers(0, 3, len(values)))
    sketch = _filled(values, rows, 4000, 9999)
    distinct, counts = np.unique(values, return_counts=True)
    assert not sketch.exact and len(sketch.keys) == 4000
    assert abs(sketch.distinct / len(distinct) - 1) < 4 / 4000**0.5
    keys = pl.Series(distinct).hash().to_numpy()
    order = np.argsort(keys)
    np.testing.assert_array_equal(sketch.keys, keys[order][:4000])
    np.testing.assert_array_equal(sketch.sums[:, :3].sum(axis=1), counts[order][:4000])
    once = float((sketch.sums[:, :3].sum(axis=1) == 1).sum()) / sketch.share
    assert abs(once / (counts == 1).sum() - 1) < 0.1


def test_the_order_of_rows_and_the_cut_into_chunks_change_nothing() -> None:
    values = np.random.default_rng(2).integers(0, 5000, 20_000)
    rows = _rows(values % 2)
    one, other = _filled(values, rows, 700, 20_000), _filled(values, rows, 700, 333)
    np.testing.assert_array_equal(one.keys, other.keys)
    np.testing.assert_array_equal(one.sums, other.sums)


def test_repeated_keys_in_one_piece_are_added_up_and_new_ones_are_told() -> None:
    sketch = Sketch(10)
    keys = np.array([5, 3, 5], np.uint64)
    assert sorted(keys[sketch.add(keys, np.ones((3, SUMS)))].tolist()) == [3, 5]
    assert sketch.sums[:, 0].tolist() == [1, 2]
    assert sketch.add(keys, np.ones((3, SUMS))).tolist() == []
    assert sketch.rows_of(np.array([3, 4, 5, 9], np.uint64), slice(0, 1)).tolist() == [2, 0, 4, 0]
    assert Sketch().rows_of(keys, slice(0, 1)).tolist() == [0, 0, 0]
    assert Sketch().add(np.zeros(0, np.uint64), np.zeros((0, SUMS))).tolist() == []


def test_halves_are_halves_whatever_the_labels_period() -> None:
    half = _rows(np.zeros(100_000)).half
    for period in (1, 2, 3, 8):
        assert abs(half[::period].mean() - 0.5) < 0.02
    assert len(np.unique(scattered(np.arange(1000, dtype=np.uint64)))) == 1000
