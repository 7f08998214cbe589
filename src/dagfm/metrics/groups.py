"""How well a model orders the rows within a group, such as the items that one user was shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dagfm.metrics.figures import Float64


@dataclass(frozen=True)
class GroupFigures:
    """Figures over all groups that hold clicks and non-clicks; None where there is no such group."""

    gauc: float | None
    """Mean of the groups' AUC, each weighing as much as its rows do (Zhu et al., "Optimized Cost per Click in Taobao
    Display Advertising", KDD 2017, section 4.2)."""
    ndcg: dict[int, float | None] = field(default_factory=dict)
    """Mean NDCG@k of the groups, which count alike, by k."""
    groups: int = 0
    """Groups counted."""
    one_class: int = 0
    """Groups left out: all their rows are clicks, or none is, and every order of them is as good."""


def ndcg_key(cutoff: int) -> str:
    """What NDCG at a cutoff is called in results."""
    return f"ndcg@{cutoff}"


def figures_within(
    groups: ArrayLike,
    labels: ArrayLike,
    scores: ArrayLike,
    cutoffs: Sequence[int] = (),
    weights: ArrayLike | None = None,
) -> GroupFigures:
    """AUC and NDCG@k within the groups of ``groups`` (n,), any integers, for ``labels`` (n,) and ``scores`` (n,).

    AUC as in ``metrics.auc``: ties count one half, ``weights`` (n,) count a row several times. The gain of a row is its
    label, the discount of rank r is 1 / log2(r + 1); rows that score the same share the mean gain of their ranks
    (McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of tied
    scores", ECIR 2008). A weight does not repeat a row in its group's ranking. O(n log n), without a loop over groups.
    """
    ids, z = np.asarray(groups), np.asarray(scores)
    if not len(ids):
        return GroupFigures(None, dict.fromkeys(cutoffs))
    order = np.lexsort((-z, ids))
    ids, z, y = ids[order], z[order], np.asarray(labels, np.float64)[order]
    mass = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)[order]
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    clicks = np.add.reduceat(mass * y, starts)
    others = np.add.reduceat(mass * (1 - y), starts)
    judged = (clicks > 0) & (others > 0)
    left_out = int(len(starts) - judged.sum())
    if not judged.any():
        return GroupFigures(None, dict.fromkeys(cutoffs), 0, left_out)
    runs = _Runs.of(ids, z, starts)
    areas = _areas(runs, mass * y, mass * (1 - y))[judged] / (clicks * others)[judged]
    impressions = (clicks + others)[judged]
    ndcg: dict[int, float | None] = {k: float(np.mean(_ndcg(runs, ids, y, k)[judged])) for k in cutoffs}
    return GroupFigures(float(areas @ impressions / impressions.sum()), ndcg, int(judged.sum()), left_out)


@dataclass(frozen=True, eq=False)
class _Runs:
    """Rows ordered by group and falling score, cut into runs of one group and score."""

    starts: NDArray[np.intp]
    """(r,), each run's first row."""
    groups: NDArray[np.intp]
    """(r,), each run's group, counted from 0."""
    first: NDArray[np.intp]
    """(g,), each group's first row."""
    first_run: NDArray[np.intp]
    """(g,), each group's first run."""
    rows: int

    @classmethod
    def of(cls, ids: NDArray[np.integer], scores: NDArray[np.floating], first: NDArray[np.intp]) -> _Runs:
        new = np.append(True, (scores[1:] != scores[:-1]) | (ids[1:] != ids[:-1]))
        starts = np.flatnonzero(new)
        groups = np.searchsorted(first, starts, side="right") - 1
        return cls(starts, groups, first, np.searchsorted(starts, first), len(ids))


def _areas(runs: _Runs, clicks: Float64, others: Float64) -> Float64:
    """(g,): of each group, the weight of pairs of a click and a non-click in the right order, and half of the ties."""
    won = np.add.reduceat(clicks, runs.starts)
    lost = np.add.reduceat(others, runs.starts)
    # Of the group's non-clicks, those that come later score lower.
    reached = np.cumsum(lost)
    total = np.add.reduceat(lost, runs.first_run)
    before = np.append(0.0, reached)[runs.first_run]
    lower = total[runs.groups] - (reached - before[runs.groups])
    return np.add.reduceat(won * (lower + lost / 2), runs.first_run)


def _ndcg(runs: _Runs, ids: NDArray[np.integer], labels: Float64, cutoff: int) -> Float64:
    """(g,): NDCG at ``cutoff`` of each group; NaN where it has no click."""
    sizes = np.diff(np.append(runs.first, runs.rows))
    discounts = 1 / np.log2(np.arange(2, cutoff + 2))
    # Of ranks up to r, counted from 0: further ranks add nothing.
    reached = np.append(0.0, np.cumsum(discounts))

    def up_to(rank: NDArray[np.intp]) -> Float64:
        discount: Float64 = reached[np.minimum(rank, cutoff)]
        return discount

    lengths = np.diff(np.append(runs.starts, runs.rows))
    rank = runs.starts - runs.first[runs.groups]
    gain = np.add.reduceat(labels, runs.starts) / lengths
    found = np.add.reduceat(gain * (up_to(rank + lengths) - up_to(rank)), runs.first_run)
    best = labels[np.lexsort((-labels, ids))]
    place = np.arange(runs.rows) - np.repeat(runs.first, sizes)
    ideal = np.add.reduceat(best * (up_to(place + 1) - up_to(place)), runs.first)
    with np.errstate(invalid="ignore"):
        value: Float64 = found / ideal
    return value
