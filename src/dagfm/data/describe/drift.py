"""How far a field's distribution in one part lies from that of the training rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from dagfm.data.split import PARTS, Parts
from dagfm.encoding.values import Float64
from dagfm.metrics import shift

VALUES = 30
"""The most frequent values of training rows are told apart, all others are one."""
BINS = 10
"""Of numbers: quantiles of the training rows."""


def drift(counts: Float64) -> dict[str, dict[str, Any]] | None:
    """Of rows (bins, 3) in train, valid and test, by part: ``psi``, ``tv`` and whether they are ``large``.

    psi is the population stability index of ``metrics.shift``, tv half the sum of |p - q|. None without training rows.
    """
    counts = counts[counts.sum(axis=1) > 0]
    totals = counts.sum(axis=0)
    if not totals[0]:
        return None
    found = {}
    for part, name in enumerate(PARTS[1:], 1):
        if totals[part]:
            apart = shift(counts[:, part], counts[:, 0])
            tv = float(np.abs(counts[:, part] / totals[part] - counts[:, 0] / totals[0]).sum() / 2)
            found[name] = {"psi": apart.psi, "tv": tv, "large": apart.large}
    return found


def of_values(counts: Float64, missing: Float64) -> Float64:
    """Bins (at most 32, 3) of values' rows (values, 3) by part: the most frequent ones, all others, missing ones."""
    order = np.argsort(-counts[:, 0], kind="stable")
    top, rest = counts[order[:VALUES]], counts[order[VALUES:]]
    return np.vstack([top, rest.sum(axis=0)[None], missing[None]])


def of_numbers(values: Float64, parts: Parts) -> Float64:
    """Bins (at most 11, 3) of numbers (n,), NaN where missing: quantiles of those of training rows, and missing."""
    training = values[(parts == 0) & ~np.isnan(values)]
    edges = np.unique(np.quantile(training, np.arange(1, BINS) / BINS, method="lower")) if len(training) else training
    bins = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values))
    counts = np.bincount(bins.astype(np.int64) * 3 + parts, minlength=3 * (len(edges) + 2))
    return counts.reshape(-1, 3).astype(np.float64)
