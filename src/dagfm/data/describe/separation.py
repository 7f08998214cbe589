"""How well one thing alone tells clicks from the rest, from sums by value; exact, in any weights."""

from __future__ import annotations

import numpy as np

from dagfm.data.describe.rows import CLICKS, WEIGHT
from dagfm.encoding.values import Float64

SMOOTHING = 20.0
"""How many rows of the overall click rate every value starts with."""


def weighted_auc(scores: Float64, clicks: Float64, others: Float64) -> float | None:
    """Area under the ROC curve of ``scores`` (n,), each with so much weight of ``clicks`` and ``others`` (n,).

    Ties count one half. None where one of the two is absent.
    """
    total_clicks, total_others = float(clicks.sum()), float(others.sum())
    if total_clicks <= 0 or total_others <= 0:
        return None
    order = np.argsort(scores)
    ordered, clicks, others = scores[order], clicks[order], others[order]
    first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    clicks, others = np.add.reduceat(clicks, first), np.add.reduceat(others, first)
    below = np.cumsum(others) - others
    return float(clicks @ (below + others / 2)) / (total_clicks * total_others)


def auc_of_rates(sums: Float64, smoothing: float = SMOOTHING) -> float | None:
    """AUC of the smoothed click rate that each value has in one half of the rows, on the other half; mean of both ways.

    ``sums`` (values, 7). Smoothed towards the overall rate, a value that one half has not seen scores as the average:
    ids that never come again separate nothing. None where a half has one class only.
    """
    found = []
    for learned, tried in ((0, 1), (1, 0)):
        weight, clicks = sums[:, WEIGHT + learned], sums[:, CLICKS + learned]
        if not (total := float(weight.sum())):
            return None
        rate = float(clicks.sum()) / total
        scores = (clicks + smoothing * rate) / np.maximum(weight + smoothing, 1e-300)
        clicked = sums[:, CLICKS + tried]
        auc = weighted_auc(scores, clicked, sums[:, WEIGHT + tried] - clicked)
        if auc is None:
            return None
        found.append(auc)
    return sum(found) / len(found)
