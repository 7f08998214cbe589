"""Figures within groups, against loops over groups."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm import metrics
from dagfm.metrics import figures_within

rows = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(-2, 2).map(float)), max_size=60)


def slow_ndcg(labels: list[int], scores: list[float], cutoff: int) -> float:
    """The mean over all orders of tied rows, from each row's chance to be at each rank."""
    found = 0.0
    for label, score in zip(labels, scores, strict=True):
        above = sum(other > score for other in scores)
        tied = sum(other == score for other in scores)
        ranks = range(above + 1, above + tied + 1)
        found += label * sum(1 / math.log2(rank + 1) for rank in ranks if rank <= cutoff) / tied
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(sum(labels), cutoff) + 1))
    return found / ideal


@given(rows)
def test_groups_are_judged_as_a_loop_judges_them(found: list[tuple[int, int, float]]) -> None:
    groups, labels, scores = ([row[index] for row in found] for index in range(3))
    aucs, impressions, ndcgs, one_class = [], [], [], 0
    for group in set(groups):
        y = [row[1] for row in found if row[0] == group]
        z = [row[2] for row in found if row[0] == group]
        if len(set(y)) == 1:
            one_class += 1
            continue
        aucs.append(metrics.auc(y, z))
        impressions.append(len(y))
        ndcgs.append([slow_ndcg(y, z, k) for k in (1, 3)])
    figures = figures_within(groups, labels, scores, (1, 3))
    assert (figures.groups, figures.one_class) == (len(aucs), one_class)
    if not aucs:
        assert (figures.gauc, figures.ndcg) == (None, {1: None, 3: None})
        return
    assert figures.gauc == pytest.approx(np.average(aucs, weights=impressions), abs=1e-12)
    for index, k in enumerate((1, 3)):
        assert figures.ndcg[k] == pytest.approx(np.mean([each[index] for each in ndcgs]), abs=1e-12)


@given(rows)
def test_the_order_of_rows_does_not_matter(found: list[tuple[int, int, float]]) -> None:
    columns = [np.array([row[index] for row in found]) for index in range(3)]
    shuffled = np.random.default_rng(0).permutation(len(found))
    one = figures_within(*columns, cutoffs=(2,))
    other = figures_within(*(column[shuffled] for column in columns), cutoffs=(2,))
    assert one.gauc == pytest.approx(other.gauc)
    assert one.ndcg[2] == pytest.approx(other.ndcg[2])


def test_one_group_has_the_auc_of_its_rows() -> None:
    random = np.random.default_rng(0)
    labels, scores, weights = random.random(200), random.normal(size=200).round(1), random.exponential(size=200)
    figures = figures_within(np.full(200, 7), labels, scores, weights=weights)
    assert figures.gauc == pytest.approx(metrics.auc(labels, scores, weights), abs=1e-12)


def test_a_weight_counts_a_groups_impressions() -> None:
    groups, labels, scores = [0, 0, 1, 1], [1, 0, 1, 0], [2.0, 1.0, 1.0, 2.0]
    assert figures_within(groups, labels, scores).gauc == 0.5
    assert figures_within(groups, labels, scores, weights=[3, 3, 1, 1]).gauc == 0.75
