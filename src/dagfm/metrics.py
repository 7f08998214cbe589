"""How good scores are: exact AUC, logloss and the distance to a teacher, in NumPy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float64 = NDArray[np.float64]


def auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """Area under the ROC curve: the chance that a click scores above a non-click, ties counting one half.

    ``labels`` (n,) hold 0 and 1, ``scores`` (n,) any monotone score; exact, O(n log n). Raises ValueError when one of
    the two classes is absent or a score is NaN.
    """
    clicked = np.asarray(labels) > 0.5
    values = np.asarray(scores)
    if np.isnan(values).any():
        raise ValueError("AUC of scores that hold NaN")
    positives = int(clicked.sum())
    negatives = clicked.size - positives
    if positives == 0 or negatives == 0:
        raise ValueError("AUC needs clicks and non-clicks, all labels are the same")
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    # Rank of a tie = mean rank of its group: first and last position of each distinct score.
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    first = np.append(0, last[:-1] + 1)
    clicks = np.add.reduceat(clicked[order].astype(np.int64), first)
    rank_sum = float(clicks @ (first + last + 2.0)) / 2.0
    return (rank_sum - positives * (positives + 1) / 2.0) / (positives * negatives)


def logloss(labels: ArrayLike, logits: ArrayLike) -> float:
    """Mean binary cross-entropy in nats, from logits (n,), stable for any size of logit."""
    y = np.asarray(labels, np.float64)
    z = np.asarray(logits, np.float64)
    return float(np.mean(np.maximum(z, 0.0) - z * y + np.log1p(np.exp(-np.abs(z)))))


def logit_mse(teacher: ArrayLike, student: ArrayLike) -> float:
    """Mean squared distance between two models' logits (n,): what distillation minimises."""
    difference = np.asarray(teacher, np.float64) - np.asarray(student, np.float64)
    return float(np.mean(difference * difference))


def calibration(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """Mean predicted probability over the observed click rate; 1 is calibrated, above 1 promises too much."""
    return float(np.mean(np.asarray(probabilities, np.float64)) / np.mean(np.asarray(labels, np.float64)))


def sigmoid(logits: ArrayLike) -> Float64:
    """Probabilities (n,) of logits (n,), without overflow."""
    z = np.asarray(logits, np.float64)
    decay = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0 / (1.0 + decay), decay / (1.0 + decay))
