from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.data.staging.targets import FOLDS, Folds, learn_target, make_folds, out_of_fold
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import Grid, Statistics, smoothed
from dagfm.schema import FIRST, UNKNOWN, Field


def values_of(
    folder: Path, ids: np.ndarray, clicks: np.ndarray, folds: Folds, weights: np.ndarray | None = None
) -> np.ndarray:
    into = np.zeros((2, len(ids)))
    out_of_fold(ids, clicks, weights, folds, int(ids.max()) + 1, 5.0, into, folder)
    return into


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=6, max_size=60), st.data())
def test_a_rows_own_label_changes_nothing_in_it(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, bool]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("folds")
    ids = np.array([one for one, _ in rows], np.int32)
    clicks = np.array([clicked for _, clicked in rows], np.float32)
    row = data.draw(st.integers(0, len(rows) - 1))
    times = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))), np.float64)
    for folds in (make_folds(len(rows), None, 1, folder), make_folds(len(rows), times, 1, folder)):
        before = values_of(folder, ids, clicks, folds)
        flipped = clicks.copy()
        flipped[row] = 1 - flipped[row]
        after = values_of(folder, ids, flipped, folds)
        np.testing.assert_array_equal(before[:, row], after[:, row])


def test_statistics_are_of_the_other_folds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(0, 20, 1000).astype(np.int32)
    clicks = (random.random(1000) < 0.3).astype(np.float32)
    weights = random.integers(1, 4, 1000).astype(np.float32)
    folds = make_folds(1000, None, 7, tmp_path)
    assert np.bincount(folds.of_row).min() > 150 and len(np.bincount(folds.of_row)) == FOLDS
    found = values_of(tmp_path, ids, clicks, folds, weights)
    for row in range(0, 1000, 83):
        others = folds.of_row != folds.of_row[row]
        here = others & (ids == ids[row])
        prior = (clicks * weights)[others].sum() / weights[others].sum()
        clicked, counted = (clicks * weights)[here].sum(), weights[here].sum()
        if ids[row] == UNKNOWN:
            clicked = counted = 0.0
        expected = smoothed(np.array([clicked]), np.array([counted]), float(prior), 5.0)[0]
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-5)


def test_in_time_only_what_was_before_counts(tmp_path: Path) -> None:
    times = np.repeat(np.arange(100.0), 10)
    random = np.random.default_rng(1)
    order = random.permutation(1000)
    ids = np.ones(1000, np.int32)
    found = values_of(tmp_path, ids, np.ones(1000, np.float32), make_folds(1000, times[order], 0, tmp_path))
    counts = np.expm1(found[1])
    assert np.allclose(counts, np.floor(times[order] / 2) * 20)


def test_a_click_rate_is_smoothed_and_finite() -> None:
    values = smoothed(np.array([0.0, 5.0, 0.0]), np.array([0.0, 5.0, 1e9]), 0.25, 15.0)
    rates = 1 / (1 + np.exp(-values[:, 0]))
    np.testing.assert_allclose(rates[:2], [0.25, (5 + 3.75) / 20])
    assert np.isfinite(values).all()
    assert np.isfinite(smoothed(np.array([0.0]), np.array([0.0]), 0.0, 0.0)).all()


def test_cells_tell_rate_and_count_apart(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(1, 30, 5000).astype(np.int32)
    clicks = (random.random(5000) < ids / 40).astype(np.float32)
    field = Field(name="rate", encode="target", bins=4)
    folds = make_folds(5000, None, 0, tmp_path)
    statistics, own = learn_target(field, ids, clicks, None, folds, 31, tmp_path)
    assert isinstance(statistics.form, Grid)
    cells = statistics.form.encode(own.T)
    assert cells.min() >= FIRST and cells.max() < statistics.form.rows
    assert np.corrcoef(cells, ids)[0, 1] > 0.8
    unseen = statistics.encode(np.array([30]))
    np.testing.assert_array_equal(unseen, statistics.encode(np.array([UNKNOWN])))
    scaled, own = learn_target(field.model_copy(update={"bins": None}), ids, clicks, None, folds, 31, tmp_path)
    assert isinstance(scaled.form, Scale)
    numbers = scaled.form.apply(own.T)
    np.testing.assert_allclose(numbers.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(numbers.std(axis=0), 1, atol=1e-4)


def test_files(tmp_path: Path) -> None:
    statistics = Statistics(np.array([0.0, 1.5]), np.array([0.0, 3.0]), 0.5, 1.0, Scale((0.0, 0.0), (1.0, 1.0)))
    statistics.write(tmp_path / "rate.parquet")
    clicks, rows = Statistics.read(tmp_path / "rate.parquet")
    assert clicks.tolist() == [0.0, 1.5] and rows.tolist() == [0.0, 3.0]
