"""What knowing a value would add to a model: the effect of its other rows' residuals on a row's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from dagfm import metrics
from dagfm.encoding.crosses import NONE, cross_keys
from dagfm.encoding.rows import Indices, Int32, Int64
from dagfm.encoding.values import Float64

STEPS = 12
"""Powers of two of the count that are told apart, and one step for a value that no other row has."""
_STEP_OF = np.minimum(np.ceil(np.log2(np.arange(2.0**STEPS) + 1.0)), STEPS).astype(np.int64)
"""The step of each count; the last one holds all above."""
_NEWTON_STEPS = 8
_FARTHEST = 4.0
"""An effect is one Newton step; further than that it is not believed."""
_BUCKETS = 4
"""Buckets a row into which keys are hashed that are too many to count one by one: few of them share one."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows (n,) with their labels and what a model says of each that was not trained on it."""

    clicks: Float64
    weights: Float64
    logits: Float64
    tokens: Int32
    """(n, columns)."""
    folds: Int64 | None = None
    """(n,) from 0 on: rows of one fold have their logits from one model, which was trained on none of them; None where
    all have them from one."""

    def moved(self, by: Float64) -> Rows:
        """The rows under a model that says ``by`` (n,) more."""
        return replace(self, logits=self.logits + by)

    def calibrated(self) -> Rows:
        """The rows with their logits, fold by fold, on the line that fits the clicks best (Platt): where a model is too
        sure of itself, every key would seem to know something."""
        found = self.logits.copy()
        for fold in np.unique(self.folds) if self.folds is not None else [0]:
            here = slice(None) if self.folds is None else np.flatnonzero(self.folds == fold)
            found[here] = _line_of_clicks(self.logits[here], self.clicks[here], self.weights[here])
        return replace(self, logits=found)

    @cached_property
    def residuals(self) -> tuple[Float64, Float64]:
        """(n,) clicks beyond the model's chance, and (n,) the variance of the click under it, both weighted."""
        chance = metrics.sigmoid(self.logits)
        return self.weights * (self.clicks - chance), self.weights * chance * (1.0 - chance)

    @cached_property
    def losses(self) -> Float64:
        """(n,) logloss of each row, weighted."""
        return self.weights * metrics.cross_entropy(self.clicks, self.logits)

    def gains(self, by: Float64) -> Float64:
        """(n,) by how much each row's logloss falls where the model says ``by`` (n,) more."""
        return self.losses - self.moved(by).losses


def _line_of_clicks(logits: Float64, clicks: Float64, weights: Float64) -> Float64:
    """a + b * logits (n,) with the lowest logloss, by Newton's method from a = 0 and b = 1."""
    columns = np.stack([np.ones(len(logits)), logits], axis=1)
    line = np.array([0.0, 1.0])
    for _ in range(_NEWTON_STEPS):
        chance = metrics.sigmoid(columns @ line)
        slope = columns.T @ (weights * (clicks - chance))
        curve = (columns * (weights * chance * (1.0 - chance))[:, None]).T @ columns + 1e-6 * np.eye(2)
        line = line + np.linalg.solve(curve, slope)
    fitted: Float64 = columns @ line
    return fitted if np.isfinite(fitted).all() else logits


@dataclass(frozen=True, eq=False)
class Places:
    """Which value of a key each of some rows has, fold by fold."""

    of_row: Int64
    """(n,) below ``size``, another one for each value and fold; rows with an *unknown* member have a place, too, and
    are told of no other row."""
    known: Int64 | None
    """(n,) whether all members are known; None where they are in all rows."""
    size: int
    distinct: int
    """Values that the rows hold."""
    folds: int

    @classmethod
    def of(cls, rows: Rows, columns: Sequence[int], sizes: Sequence[int]) -> Places:
        """The values of the members in ``columns`` (k) of the rows' tokens, which can have so many ids each.

        More combinations than ``_BUCKETS`` a row are hashed.
        """
        keys = cross_keys([rows.tokens[:, column] for column in columns], sizes)
        unknown = keys == NONE
        known = ~unknown if unknown.any() else None
        size = int(2 ** np.ceil(np.log2(max(_BUCKETS * len(keys), 2))))
        total = float(np.prod(np.array(sizes, np.float64)))
        if total <= size:
            size = int(total)
            keys = np.where(unknown, 0, keys)
        else:
            # Fibonacci hashing: the high bits of a product with an odd constant.
            mixed = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
            keys = (mixed >> np.uint64(64 - int(np.log2(size)))).astype(np.int64)
        distinct = int(np.count_nonzero(np.bincount(keys, minlength=size)))
        if rows.folds is None:
            return cls(keys, known, size, distinct, 1)
        folds = int(rows.folds.max(initial=0)) + 1
        return cls(keys * folds + rows.folds, known, size * folds, distinct, folds)


@dataclass(frozen=True, eq=False)
class Effect:
    """What a key would add."""

    by: Float64
    """(n,) to each row's logit, of the other rows alone."""
    gain: float
    """By how much the mean logloss falls."""
    error: float
    """Its standard error over the rows."""


def effect_of(rows: Rows, places: Places) -> Effect:
    """The effect of a key whose values have random effects on the logit, each row told the others of its value.

    With residuals r and their variances w = p(1 - p) under the model, a row's effect is the sum of the other rows' r
    over the sum of their w plus the ridge 1/t. t is the variance of the effects, estimated from r_i r_j over w_i w_j of
    all pairs of rows that share a value; one t for each power of two of a value's rows, for a model has learned more of
    the frequent ones. The others are those of the row's own fold: the model that left the residuals of another fold has
    seen this row's label. None of it knows that label, so a key that tells nothing has a gain of 0 on average. How
    often a value has been seen tells something, too: an effect for each power of two of it.
    """
    residual, variance = rows.residuals
    of_row, size = places.of_row, places.size
    others = np.bincount(of_row, residual, size)[of_row] - residual
    variances = np.bincount(of_row, variance, size)[of_row] - variance
    counts = np.bincount(of_row, minlength=size)[of_row] - 1
    if places.known is not None:
        others, variances, counts = (np.where(places.known, one, 0) for one in (others, variances, counts))
    steps = _steps(counts)
    shared = np.bincount(steps, variance * variances, STEPS + 1)
    spread = np.bincount(steps, residual * others, STEPS + 1) / np.maximum(shared, 1e-12)
    spread = np.where((shared > 0) & (spread > 1e-9), spread, 0.0)[steps]
    by = others * spread / (variances * spread + 1.0)
    left = np.bincount(steps, residual - by * variance, STEPS + 1)
    held = np.bincount(steps, variance, STEPS + 1)
    by = np.clip(by + (left / (held + 1.0))[steps], -_FARTHEST, _FARTHEST)
    gains = rows.gains(by)
    fitted = float(np.count_nonzero(held))  # what so many pairs of numbers gain by having been fitted
    whole = float(rows.weights.sum())
    gain = (float(gains.sum()) - fitted) / whole
    return Effect(by, gain, float(gains.std()) * len(gains) ** 0.5 / whole)


def share_of_one_label(rows: Rows, places: Places) -> float:
    """Of the rows whose value has a click and another row, the share whose value has clicks alone; 0 where there are
    none. Where it is nearly 1, the label is that of the value: a click once is a click again."""
    of_row = places.of_row // places.folds
    counts = np.bincount(of_row)[of_row]
    clicks = np.bincount(of_row, rows.clicks)[of_row]
    again = (counts > 1) & (clicks > 0)
    return float(np.mean(clicks[again] >= counts[again])) if again.any() else 0.0


def _steps(counts: Int64) -> Indices:
    """(n,) 0 for no other row, 1 for one, 2 for two or three, and so on."""
    return np.take(_STEP_OF, np.minimum(counts, len(_STEP_OF) - 1))


def sample(count: int, most: int, seed: int) -> Int64:
    """(min(count, most),) row numbers at random, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
