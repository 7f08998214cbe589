"""What knowing a value would add to a model: the effect of its other rows' residuals on a row's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dagfm.encoding.crosses import NONE, cross_keys
from dagfm.encoding.rows import Indices, Int32, Int64
from dagfm.encoding.values import Float64

STEPS = 12
"""Powers of two of the count that are told apart, and one step for a value that no other row has."""
_STEP_OF = np.minimum(np.ceil(np.log2(np.arange(2.0**STEPS) + 1.0)), STEPS).astype(np.int64)
"""The step of each count; the last one holds all above."""
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

    def moved(self, by: Float64) -> Rows:
        """The rows under a model that says ``by`` (n,) more."""
        return Rows(self.clicks, self.weights, self.logits + by, self.tokens)

    @cached_property
    def residuals(self) -> tuple[Float64, Float64]:
        """(n,) clicks beyond the model's chance, and (n,) the variance of the click under it, both weighted."""
        chance = 1.0 / (1.0 + np.exp(-np.clip(self.logits, -40.0, 40.0)))
        return self.weights * (self.clicks - chance), self.weights * chance * (1.0 - chance)

    @cached_property
    def losses(self) -> Float64:
        """(n,) logloss of each row, weighted."""
        return self._losses(self.logits)

    def gains(self, by: Float64) -> Float64:
        """(n,) by how much each row's logloss falls where the model says ``by`` (n,) more."""
        return self.losses - self._losses(self.logits + by)

    def _losses(self, logits: Float64) -> Float64:
        lost: Float64 = np.maximum(logits, 0.0) + np.log1p(np.exp(-np.abs(logits))) - self.clicks * logits
        return self.weights * lost


@dataclass(frozen=True, eq=False)
class Places:
    """Which value of a key each of some rows has."""

    of_row: Int64
    """(n,) below ``size``; rows with an *unknown* member have a place, too, and are told of no other row."""
    known: Int64 | None
    """(n,) whether all members are known; None where they are in all rows."""
    size: int
    distinct: int
    """Values that the rows hold."""

    @classmethod
    def of(cls, tokens: Int32, columns: Sequence[int], sizes: Sequence[int]) -> Places:
        """The values of the members in ``columns`` (k) of ``tokens`` (n, ...), which can have so many ids each.

        More combinations than ``_BUCKETS`` a row are hashed.
        """
        keys = cross_keys([tokens[:, column] for column in columns], sizes)
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
        return cls(keys, known, size, distinct)


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
    all pairs of rows that share a value. Because none of it knows the row's own label, a key that tells nothing has a
    gain of 0 on average. How often a value has been seen tells something, too: an effect for each power of two of it.
    """
    residual, variance = rows.residuals
    of_row, size = places.of_row, places.size
    others = np.bincount(of_row, residual, size)[of_row] - residual
    variances = np.bincount(of_row, variance, size)[of_row] - variance
    counts = np.bincount(of_row, minlength=size)[of_row] - 1
    if places.known is not None:
        others, variances, counts = (np.where(places.known, one, 0) for one in (others, variances, counts))
    spread = float(residual @ others) / max(float(variance @ variances), 1e-12)
    by = others / (variances + 1.0 / spread) if spread > 1e-9 else np.zeros(len(residual))
    steps = _steps(counts)
    left = np.bincount(steps, residual - by * variance, STEPS + 1)
    held = np.bincount(steps, variance, STEPS + 1)
    by = np.clip(by + (left / (held + 1.0))[steps], -_FARTHEST, _FARTHEST)
    gains = rows.gains(by)
    fitted = np.count_nonzero(held) / 2  # what so many numbers that were fitted gain on their own
    whole = float(rows.weights.sum())
    gain = (float(gains.sum()) - fitted) / whole
    return Effect(by, gain, float(gains.std()) * len(gains) ** 0.5 / whole)


def _steps(counts: Int64) -> Indices:
    """(n,) 0 for no other row, 1 for one, 2 for two or three, and so on."""
    return np.take(_STEP_OF, np.minimum(counts, len(_STEP_OF) - 1))


def sample(count: int, most: int, seed: int) -> Int64:
    """(min(count, most),) row numbers at random, ascending."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
