"""Differences between two models: against the textbook's loops, and against a bootstrap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm import metrics
from dagfm.metrics import Standing, auc_difference, logloss_difference, mean_difference

rows = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-3, 3).map(float), st.integers(-3, 3).map(float)),
    min_size=4,
    max_size=40,
).filter(lambda found: 2 <= sum(row[0] for row in found) <= len(found) - 2)


def delong(labels: Any, one: Any, other: Any) -> tuple[float, float]:
    """Difference and standard error by the definitions: pairs of clicks and non-clicks, one at a time."""

    def kernel(click: float, not_click: float) -> float:
        return float(click > not_click) + 0.5 * float(click == not_click)

    clicks = [index for index, label in enumerate(labels) if label]
    others = [index for index, label in enumerate(labels) if not label]
    v10 = [[np.mean([kernel(z[i], z[j]) for j in others]) for i in clicks] for z in (one, other)]
    v01 = [[np.mean([kernel(z[i], z[j]) for i in clicks]) for j in others] for z in (one, other)]
    s10, s01 = np.cov(v10), np.cov(v01)
    covariance = s10 / len(clicks) + s01 / len(others)
    contrast = np.array([1.0, -1.0])
    variance = max(float(contrast @ covariance @ contrast), 0.0)
    return float(np.mean(v10[0]) - np.mean(v10[1])), math.sqrt(variance)


@given(rows)
def test_auc_difference_is_delongs(found: list[tuple[int, float, float]]) -> None:
    labels, one, other = (np.array(column) for column in zip(*found, strict=True))
    difference = auc_difference(Standing.of(labels, one), Standing.of(labels, other))
    mean, error = delong(labels, one, other)
    assert difference.mean == pytest.approx(mean, abs=1e-12)
    assert difference.mean == pytest.approx(metrics.auc(labels, one) - metrics.auc(labels, other), abs=1e-12)
    assert difference.standard_error == pytest.approx(error, abs=1e-7)


@given(rows)
def test_logloss_difference_is_the_mean_of_the_rows_differences(found: list[tuple[int, float, float]]) -> None:
    labels, one, other = (np.array(column) for column in zip(*found, strict=True))
    difference = logloss_difference(Standing.of(labels, one), Standing.of(labels, other))
    each = [metrics.logloss([y], [a]) - metrics.logloss([y], [b]) for y, a, b in zip(labels, one, other, strict=True)]
    assert difference.mean == pytest.approx(np.mean(each), abs=1e-12)
    assert difference.standard_error == pytest.approx(np.std(each, ddof=1) / math.sqrt(len(each)), abs=1e-12)


def sample(count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.3).astype(np.float32)
    one = (random.normal(size=count) + labels).astype(np.float32)
    return labels, one, (one + 0.5 * random.normal(size=count)).astype(np.float32)


def test_the_interval_is_a_bootstraps() -> None:
    labels, one, other = sample(800)
    random = np.random.default_rng(1)
    aucs, losses = [], []
    for _ in range(1500):
        drawn = random.integers(0, len(labels), len(labels))
        y, a, b = labels[drawn], one[drawn], other[drawn]
        aucs.append(metrics.auc(y, a) - metrics.auc(y, b))
        losses.append(metrics.logloss(y, a) - metrics.logloss(y, b))
    pair = Standing.of(labels, one), Standing.of(labels, other)
    for difference, bootstrapped in ((auc_difference(*pair), aucs), (logloss_difference(*pair), losses)):
        assert difference.standard_error == pytest.approx(np.std(bootstrapped), rel=0.1)
        width = 2 * 1.96 * difference.standard_error
        np.testing.assert_allclose(difference.interval(), np.quantile(bootstrapped, [0.025, 0.975]), atol=0.06 * width)


def test_weighted_rows_and_click_rates_have_the_error_that_a_bootstrap_over_rows_finds() -> None:
    labels, one, other = sample(600, seed=2)
    random = np.random.default_rng(3)
    weights = random.exponential(size=600)
    labels = np.where(random.random(600) < 0.5, random.random(600), labels)
    pair = Standing.of(labels, one, weights), Standing.of(labels, other, weights)
    assert auc_difference(*pair).mean == pytest.approx(
        metrics.auc(labels, one, weights) - metrics.auc(labels, other, weights), abs=1e-12
    )
    assert logloss_difference(*pair).mean == pytest.approx(
        metrics.logloss(labels, one, weights) - metrics.logloss(labels, other, weights), abs=1e-12
    )
    aucs = []
    for _ in range(1000):
        drawn = random.integers(0, 600, 600)
        y, w = labels[drawn], weights[drawn]
        aucs.append(metrics.auc(y, one[drawn], w) - metrics.auc(y, other[drawn], w))
    assert auc_difference(*pair).standard_error == pytest.approx(np.std(aucs), rel=0.12)


def test_a_model_does_not_differ_from_itself() -> None:
    labels, one, _ = sample(50)
    same = Standing.of(labels, one)
    for difference in (auc_difference(same, same), logloss_difference(same, same)):
        assert (difference.mean, difference.standard_error) == (0.0, 0.0)


def test_a_weight_of_nothing_is_no_row() -> None:
    values = np.array([0.5, -1.0, 2.0, 7.0])
    difference = mean_difference(values, np.array([1.0, 1.0, 1.0, 0.0]))
    assert difference.mean == pytest.approx(0.5)
    assert difference.standard_error == pytest.approx(values[:3].std(ddof=1) / math.sqrt(3))


def test_one_click_leaves_the_error_unknown() -> None:
    pair = Standing.of([1, 0, 0], [0.1, 0.2, 0.3]), Standing.of([1, 0, 0], [0.3, 0.2, 0.1])
    assert math.isnan(auc_difference(*pair).standard_error)


def test_rows_of_one_class_are_refused() -> None:
    with pytest.raises(ValueError, match="needs clicks and non-clicks"):
        Standing.of([0, 0], [0.1, 0.2])
