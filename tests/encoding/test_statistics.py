from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.data.staging.targets import FOLDS, Folds, learn_target, make_folds, out_of_fold
from dagfm.encoding.beta import Beta
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import Grid, Statistics, told
from dagfm.metrics import auc
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field


def values_of(
    folder: Path,
    ids: np.ndarray,
    clicks: np.ndarray,
    folds: Folds,
    weights: np.ndarray | None = None,
    smoothing: float | None = None,
) -> np.ndarray:
    into = np.zeros((2, len(ids)))
    out_of_fold(ids, clicks, weights, folds, int(ids.max()) + 1, smoothing, into, folder)
    return into


@settings(max_examples=25)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=6, max_size=60),
    st.sampled_from([None, 0.0, 5.0]),
    st.sampled_from([None, 2, 7]),
    st.data(),
)
def test_a_rows_own_label_changes_nothing_in_it(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[int, bool]],
    smoothing: float | None,
    bins: int | None,
    data: st.DataObject,
) -> None:
    folder = tmp_path_factory.mktemp("folds")
    ids = np.array([one for one, _ in rows], np.int32)
    clicks = np.array([clicked for _, clicked in rows], np.float32)
    row = data.draw(st.integers(0, len(rows) - 1))
    times = np.array(data.draw(st.lists(st.integers(0, 9), min_size=len(rows), max_size=len(rows))), np.float64)
    field = Field(name="rate", encode="target", bins=bins, smoothing=smoothing)
    for folds in (make_folds(len(rows), None, 1, folder), make_folds(len(rows), times, 1, folder)):
        found = []
        for flipped in (False, True):
            labels = clicks.copy()
            labels[row] = abs(flipped - labels[row])
            statistics, own = learn_target(field, ids, labels, None, folds, int(ids.max()) + 1, folder)
            found.append(statistics.form.encode(own.T) if bins else statistics.form.apply(own.T))  # type: ignore[union-attr]
        np.testing.assert_array_equal(found[0][row], found[1][row])


@pytest.mark.parametrize("folds_in_time", [False, True])
def test_on_random_labels_the_statistics_of_training_rows_say_nothing(tmp_path: Path, folds_in_time: bool) -> None:
    """Rates that a row's own label is in give an AUC of .8 here, and only on the training rows."""
    random = np.random.default_rng(4)
    n = 40_000
    ids = random.integers(1, 12_000, n).astype(np.int32)
    clicks = (random.random(n) < 0.4).astype(np.float32)
    folds = make_folds(n, random.random(n) if folds_in_time else None, 3, tmp_path)
    rates = np.nan_to_num(values_of(tmp_path, ids, clicks, folds)[0])
    error = (1 / (12 * n * 0.4 * 0.6)) ** 0.5
    assert abs(auc(clicks, rates) - 0.5) < 3 * error
    whole = np.bincount(ids, clicks)[ids] / np.bincount(ids)[ids]
    assert auc(clicks, whole) > 0.75


def test_statistics_are_of_the_other_folds(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(0, 20, 1000).astype(np.int32)
    clicks = (random.random(1000) < 0.3).astype(np.float32)
    weights = random.integers(1, 4, 1000).astype(np.float32)
    folds = make_folds(1000, None, 7, tmp_path)
    assert np.bincount(folds.of_row).min() > 30 and len(np.bincount(folds.of_row)) == FOLDS
    found = values_of(tmp_path, ids, clicks, folds, weights, smoothing=5.0)
    fitted = values_of(tmp_path, ids, clicks, folds, weights)
    for row in range(0, 1000, 83):
        others = folds.of_row != folds.of_row[row]
        here = others & (ids == ids[row])
        rate = (clicks * weights)[others].sum() / weights[others].sum()
        clicked, counted = (clicks * weights)[here].sum(), weights[here].sum()
        if ids[row] == UNKNOWN:
            assert np.isnan(found[:, row]).all()
            continue
        expected = told(np.array([clicked]), np.array([counted]), Beta.around(float(rate), 5.0))[0]
        np.testing.assert_allclose(found[:, row], expected, rtol=1e-4)
        known = others & (ids != UNKNOWN)
        prior = Beta.fit(*(np.bincount(ids[known], one[known]) for one in (clicks * weights, weights)))
        expected = told(np.array([clicked]), np.array([counted]), prior)[0]
        np.testing.assert_allclose(fitted[:, row], expected, rtol=1e-4)


def test_in_time_only_what_was_before_counts(tmp_path: Path) -> None:
    times = np.repeat(np.arange(100.0), 10)
    random = np.random.default_rng(1)
    order = random.permutation(1000)
    ids = np.ones(1000, np.int32)
    found = values_of(tmp_path, ids, np.ones(1000, np.float32), make_folds(1000, times[order], 0, tmp_path))
    counts = np.expm1(found[1])
    before = np.floor(times[order] / 2) * 20
    assert np.isnan(counts[before == 0]).all()
    assert np.allclose(counts[before > 0], before[before > 0])


def test_a_click_rate_is_smoothed_and_finite() -> None:
    values = told(np.array([0.0, 5.0, 0.0]), np.array([0.0, 5.0, 1e9]), Beta.around(0.25, 15.0))
    assert np.isnan(values[0]).all()
    rate = (5 + 3.75) / 20
    np.testing.assert_allclose(values[1], [np.log(rate / (1 - rate)) - np.log(0.25 / 0.75), np.log(6)])
    assert np.isfinite(values[1:]).all()
    assert np.isfinite(told(np.array([0.0, 1.0]), np.array([1.0, 1.0]), Beta.around(0.0, 0.0))).all()


def test_a_value_of_average_rate_is_zero_whatever_the_average() -> None:
    for rate in (0.001, 0.3, 0.99):
        (value,) = told(np.array([rate * 1000]), np.array([1000.0]), Beta.around(rate, 30.0))
        assert value[0] == pytest.approx(0, abs=1e-9)


def test_cells_tell_rate_and_count_apart(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    ids = random.integers(1, 30, 5000).astype(np.int32)
    clicks = (random.random(5000) < ids / 40).astype(np.float32)
    field = Field(name="rate", encode="target", bins=12)
    folds = make_folds(5000, None, 0, tmp_path)
    statistics, own = learn_target(field, ids, clicks, None, folds, 31, tmp_path)
    assert isinstance(statistics.form, Grid)
    cells = statistics.form.encode(own.T)
    assert cells.min() >= FIRST and cells.max() < statistics.form.rows
    assert np.corrcoef(cells, ids)[0, 1] > 0.8
    assert statistics.encode(np.array([30, UNKNOWN])).tolist() == [MISSING, MISSING]
    scaled, own = learn_target(field.model_copy(update={"bins": None}), ids, clicks, None, folds, 31, tmp_path)
    assert isinstance(scaled.form, Scale)
    numbers = scaled.form.apply(own.T)
    np.testing.assert_allclose(numbers[:, 0], own[0], atol=1e-5)
    np.testing.assert_allclose(numbers[:, 1].mean(), 0, atol=1e-4)
    assert np.isnan(scaled.encode(np.array([30]))).all()


def test_cells_tell_every_power_of_two_of_the_count() -> None:
    grid = Grid(bins=3, counts=4)
    counts = np.array([1, 2, 3, 4, 7, 8, 1e6])
    cells = grid.encode(np.stack([np.zeros(7), np.log1p(counts)], axis=1)) - FIRST
    assert (cells % 4).tolist() == [0, 1, 1, 2, 2, 3, 3] and (cells // 4).tolist() == [1] * 7


def test_files(tmp_path: Path) -> None:
    statistics = Statistics(np.array([0.0, 1.5]), np.array([0.0, 3.0]), Beta(1.0, 1.0), Scale((0.0, 0.0), (1.0, 1.0)))
    statistics.write(tmp_path / "rate.parquet")
    clicks, rows = Statistics.read(tmp_path / "rate.parquet")
    assert clicks.tolist() == [0.0, 1.5] and rows.tolist() == [0.0, 3.0]
