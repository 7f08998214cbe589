"""Metrics against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm import metrics
from dagfm.metrics import figures

scored = st.lists(st.tuples(st.integers(0, 1), st.integers(-4, 4).map(float)), min_size=2, max_size=60).filter(
    lambda pairs: 0 < sum(label for label, _ in pairs) < len(pairs)
)


@given(scored)
def test_auc_counts_the_pairs_in_the_right_order_and_half_the_ties(pairs: list[tuple[int, float]]) -> None:
    clicks = [score for label, score in pairs if label]
    others = [score for label, score in pairs if not label]
    won = sum((click > other) + 0.5 * (click == other) for click in clicks for other in others)
    labels, scores = zip(*pairs, strict=True)
    assert metrics.auc(labels, scores) == pytest.approx(won / (len(clicks) * len(others)), abs=1e-12)


@given(scored)
def test_auc_depends_on_the_order_alone(pairs: list[tuple[int, float]]) -> None:
    labels, scores = map(np.array, zip(*pairs, strict=True))
    assert metrics.auc(labels, scores) == metrics.auc(labels, np.exp(scores / 3))
    assert metrics.auc(labels, scores) == pytest.approx(1 - metrics.auc(labels, -scores), abs=1e-12)


def test_auc_of_one_class_or_of_nan_is_refused() -> None:
    with pytest.raises(ValueError, match="all labels are the same"):
        metrics.auc([1, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match="NaN"):
        metrics.auc([0, 1], [0.1, math.nan])


@given(scored)
def test_logloss_is_the_mean_negative_log_likelihood(pairs: list[tuple[int, float]]) -> None:
    expected = [-math.log(p if label else 1 - p) for label, z in pairs for p in [1 / (1 + math.exp(-z))]]
    labels, logits = zip(*pairs, strict=True)
    assert metrics.logloss(labels, logits) == pytest.approx(sum(expected) / len(expected), rel=1e-9)


def test_extreme_logits_neither_overflow_nor_vanish() -> None:
    assert metrics.logloss([1, 0], [1000.0, -1000.0]) == 0.0
    assert metrics.logloss([0], [1000.0]) == 1000.0
    assert metrics.sigmoid([-1000.0, 0.0, 1000.0]).tolist() == [0.0, 0.5, 1.0]


def test_distance_and_calibration() -> None:
    assert metrics.logit_mse([1.0, 2.0], [0.0, 4.0]) == 2.5
    assert metrics.calibration([1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5]) == 2.0


weighed = st.lists(
    st.tuples(st.integers(0, 1), st.integers(-4, 4).map(float), st.integers(0, 5)), min_size=2, max_size=40
).filter(lambda rows: {1, 0} <= {label for label, _, weight in rows if weight})


@given(weighed)
def test_a_weight_of_k_is_k_copies(rows: list[tuple[int, float, int]]) -> None:
    labels, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    copied, repeated = np.repeat(labels, weights), np.repeat(scores, weights)
    probabilities = metrics.sigmoid(scores)
    for found, expected in (
        (metrics.auc(labels, scores, weights), metrics.auc(copied, repeated)),
        (metrics.logloss(labels, scores, weights), metrics.logloss(copied, repeated)),
        (metrics.logit_mse(scores, labels, weights), metrics.logit_mse(repeated, copied)),
        (
            metrics.calibration(labels, probabilities, weights),
            metrics.calibration(copied, np.repeat(probabilities, weights)),
        ),
        (metrics.mean(scores, weights), float(np.mean(repeated))),
    ):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.integers(-3, 3).map(float)), min_size=1, max_size=30)
)
def test_a_click_rate_with_its_impressions_is_these_clicks_and_non_clicks(rows: list[tuple[int, int, float]]) -> None:
    clicks, others, scores = (np.array(column) for column in zip(*[(a, b, z) for a, b, z in rows], strict=True))
    if clicks.sum() == 0:
        return
    impressions = clicks + others
    copied = np.concatenate([np.repeat([1, 0], [a, b]) for a, b in zip(clicks, others, strict=True)])
    repeated = np.repeat(scores, impressions)
    rates = clicks / impressions
    assert metrics.auc(rates, scores, impressions) == pytest.approx(metrics.auc(copied, repeated), abs=1e-12)
    assert metrics.logloss(rates, scores, impressions) == pytest.approx(metrics.logloss(copied, repeated), rel=1e-12)


@given(scored, st.floats(0.1, 50))
def test_equal_weights_are_no_weights(pairs: list[tuple[int, float]], weight: float) -> None:
    labels, scores = map(np.array, zip(*pairs, strict=True))
    weights = np.full(len(labels), weight, np.float32)
    assert metrics.auc(labels, scores, weights) == pytest.approx(metrics.auc(labels, scores), abs=1e-9)
    assert metrics.logloss(labels, scores, weights) == pytest.approx(metrics.logloss(labels, scores), rel=1e-9)


def test_a_class_that_weighs_nothing_has_no_auc() -> None:
    with pytest.raises(ValueError, match="weigh something"):
        metrics.auc([0, 1], [0.1, 0.2], [1, 0])


@given(scored)
def test_many_rows_are_summed_a_chunk_at_a_time(pairs: list[tuple[int, float]]) -> None:
    labels, scores = map(np.array, zip(*pairs, strict=True))
    whole = metrics.auc(labels, scores), metrics.logloss(labels, scores), metrics.logit_mse(scores, labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "_CHUNK", 7)
        assert metrics.auc(labels, scores) == whole[0]
        assert metrics.auc(labels, scores, np.ones(len(labels))) == pytest.approx(whole[0], abs=1e-12)
        assert metrics.logloss(labels, scores) == pytest.approx(whole[1], rel=1e-12)
        assert metrics.logit_mse(scores, labels) == pytest.approx(whole[2], rel=1e-12)
