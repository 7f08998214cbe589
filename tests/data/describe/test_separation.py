"""How well one thing alone tells clicks from the rest."""

from __future__ import annotations

import numpy as np
import pytest

from dagfm.data.describe.rows import SUMS, Rows
from dagfm.data.describe.separation import auc_of_rates, weighted_auc
from dagfm.metrics import auc


def test_it_is_the_auc_of_rows() -> None:
    random = np.random.default_rng(0)
    scores, labels = random.integers(0, 9, 300).astype(float), random.integers(0, 2, 300)
    found = weighted_auc(scores, labels.astype(float), 1.0 - labels)
    assert found == pytest.approx(auc(labels, scores), abs=1e-12)


def test_weights_are_as_many_rows() -> None:
    scores, clicks, others = np.array([0.1, 0.5, 0.5, 0.9]), np.array([1.0, 2, 0, 3]), np.array([4.0, 0, 1, 1])
    labels = np.concatenate([np.ones(6), np.zeros(6)])
    rows = np.concatenate([np.repeat(scores, clicks.astype(int)), np.repeat(scores, others.astype(int))])
    assert weighted_auc(scores, clicks, others) == pytest.approx(auc(labels, rows), abs=1e-12)


def test_one_class_has_none() -> None:
    assert weighted_auc(np.ones(2), np.ones(2), np.zeros(2)) is None
    assert auc_of_rates(np.zeros((0, SUMS))) is None


def _of(values: np.ndarray, labels: np.ndarray) -> float | None:
    distinct, codes = np.unique(values, return_inverse=True)
    rows = Rows(np.arange(len(values)), np.zeros(len(values), np.uint8), labels.astype(np.float32), None)
    return auc_of_rates(rows.sums(codes, len(distinct)))


def test_values_that_never_come_again_separate_nothing_and_noise_does_not() -> None:
    random = np.random.default_rng(1)
    labels = random.integers(0, 2, 20_000)
    assert _of(np.arange(20_000), labels) == 0.5
    assert abs((_of(random.integers(0, 3000, 20_000), labels) or 0) - 0.5) < 0.02
    leak = labels * 10 + random.integers(0, 10, 20_000)
    assert _of(leak, labels) == 1.0


def test_it_is_what_a_plain_computation_gives() -> None:
    random = np.random.default_rng(2)
    values, labels = random.integers(0, 20, 2000), random.integers(0, 2, 2000)
    rows = Rows(np.arange(2000), np.zeros(2000, np.uint8), labels.astype(np.float32), None)
    found = []
    for half in range(2):
        here = rows.half == half
        rate = labels[here].mean()
        scores = [
            (labels[here & (values == v)].sum() + 20 * rate) / ((here & (values == v)).sum() + 20) for v in values
        ]
        found.append(auc(labels[~here], np.array(scores)[~here]))
    assert _of(values, labels) == pytest.approx(np.mean(found), abs=1e-9)
