"""How good scores are: exact AUC, logloss and the distance to a teacher, in NumPy, with weights or without.

A weight of k counts a row k times. Beside their inputs the sums need a constant amount of memory, AUC 6 bytes a row
(40 with weights): validation rows may be many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]

_CHUNK = 1 << 20
"""Rows whose terms are in memory at a time; this many are summed as ``numpy.mean`` sums them."""


def auc(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Area under the ROC curve: the chance that a click scores above a non-click, ties counting one half.

    ``labels`` (n,) are 0 and 1, or the click rate of a row that stands for several; ``scores`` (n,) any monotone score;
    ``weights`` (n,) how much a row counts. Exact, O(n log n). Raises ValueError when clicks or non-clicks are absent or
    weigh nothing, or a score is NaN.
    """
    clicks, values = np.asarray(labels), np.asarray(scores)
    if any(np.isnan(values[part]).any() for part in _chunks(len(values))):
        raise ValueError("AUC of scores that hold NaN")
    clicked = clicks > 0.5
    shared = any((clicks[part] != clicked[part]).any() for part in _chunks(len(clicks)))
    if not shared and (clicked.all() or not clicked.any()):
        raise ValueError("AUC needs clicks and non-clicks, all labels are the same")
    if shared or weights is not None:
        return _weighted_auc(clicks, values, None if weights is None else np.asarray(weights))
    positive, negative = values[clicked], values[~clicked]
    positive.sort()
    negative.sort()
    won = 0  # twice the pairs in the right order, an integer: nothing is rounded before the division
    for part in _chunks(len(positive)):
        below, not_above = (np.searchsorted(negative, positive[part], side=side) for side in ("left", "right"))
        won += int(below.sum()) + int(not_above.sum())
    return won / 2 / (len(positive) * len(negative))


def _weighted_auc(labels: NDArray[Any], values: NDArray[Any], weights: NDArray[Any] | None) -> float:
    order = np.argsort(values)
    ordered = values[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # of each distinct score
    others = np.ones(len(order)) if weights is None else weights[order].astype(np.float64)
    clicks = others * labels[order]
    del order, ordered
    others -= clicks
    np.cumsum(clicks, out=clicks)
    np.cumsum(others, out=others)
    if clicks[-1] <= 0 or others[-1] <= 0:
        raise ValueError("AUC needs clicks and non-clicks that weigh something")
    # The trapezoids under the curve: the clicks of each score by the non-clicks below and half of those beside them.
    area, up, across = 0.0, 0.0, 0.0
    for part in _chunks(len(last)):
        height, width = clicks[last[part]], others[last[part]]
        area += float(np.diff(height, prepend=up) @ (width + np.append(across, width[:-1]))) / 2
        up, across = height[-1], width[-1]
    return float(area / (clicks[-1] * others[-1]))


def logloss(labels: ArrayLike, logits: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean binary cross-entropy in nats, from logits (n,), stable for any size of logit."""
    return _mean(cross_entropy, labels, logits, weights=weights)


def cross_entropy(labels: Float64, logits: Float64) -> Float64:
    """Binary cross-entropy in nats of every row (n,), stable for any size of logit."""
    losses: Float64 = np.maximum(logits, 0.0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    return losses


def logit_mse(teacher: ArrayLike, student: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean squared distance between two models' logits (n,): what distillation minimises."""
    return _mean(lambda one, other: np.square(one - other), teacher, student, weights=weights)


def calibration(labels: ArrayLike, probabilities: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Mean predicted probability over the observed click rate; 1 is calibrated, above 1 promises too much."""
    return mean(probabilities, weights) / mean(labels, weights)


def mean(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The (weighted) mean of values (n,), such as the click rate of labels."""
    return _mean(lambda one: one, values, weights=weights)


def sigmoid(logits: ArrayLike) -> Float64:
    """Probabilities (n,) of logits (n,), without overflow."""
    z = np.asarray(logits, np.float64)
    decay = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, decay) / (1.0 + decay)


def _mean(terms: Callable[..., Float64], *columns: ArrayLike, weights: ArrayLike | None) -> float:
    """The (weighted) mean of ``terms`` over the rows of ``columns``, in float64, a chunk of rows at a time."""
    arrays = [np.asarray(column) for column in columns]
    factors = None if weights is None else np.asarray(weights)
    total, weight = 0.0, 0.0
    for part in _chunks(len(arrays[0])):
        values = terms(*(array[part].astype(np.float64) for array in arrays))
        if factors is None:
            total, weight = total + float(values.sum()), weight + len(values)
        else:
            share = factors[part].astype(np.float64)
            total, weight = total + float(share @ values), weight + float(share.sum())
    return total / weight if weight else float("nan")


def _chunks(rows: int) -> Iterator[slice]:
    return (slice(start, start + _CHUNK) for start in range(0, rows, _CHUNK))
