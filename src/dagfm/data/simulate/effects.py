"""What an id or a number does: its own effect, its trend, and the latent vector that its interactions are made of.

Every effect has mean 0 and variance 1 over the *rows*, not over the ids. An interaction of three fields then tells
nothing about any one or two of them: its order is really present.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dagfm.data.simulate.columns import Column
from dagfm.data.simulate.hashing import Float32, mixed, uniforms
from dagfm.metrics import Float64

RANK = 2
"""Length of a latent vector."""
_OWN, _TREND = RANK, RANK + 1
"""Rows of the effects of an id by themselves, below its latent vector: an id's one hash makes all four numbers."""
_WIDTH = RANK + 2
_FADES = 100
"""Rank around which effects begin to fade, as 1 / sqrt(1 + rank / 100). What a rare id does cannot be learned from any
log, so rare ids do little: the best reachable score should be one that can be reached."""
_TABLE = 1 << 17
"""Fields of up to this many ids keep their effects in a table; those of larger ones are computed where needed."""
_HEAD = 1 << 20
"""Means and variances are summed over this many ranks; beyond, ids are so rare that theirs is known."""
_PIECE = 1 << 16

Values = NDArray[Any]
"""Of one field and some rows: ranks of ids, from 0, or numbers."""


class Effects(Protocol):
    """The effects of one field; ``values`` are (n,)."""

    covariance: Float64
    """E[v_r v_q] of the latent vectors over the rows, (RANK, RANK)."""

    def latent(self, values: Values) -> Float32:
        """The latent vectors, (RANK, n)."""

    def own(self, values: Values) -> Float32:
        """What each value does by itself, (n,)."""

    def trend(self, values: Values) -> Float32:
        """Where its own effect moves with time, (n,)."""


def effects_of(column: Column, seed: int) -> Effects:
    """The effects of a field."""
    return NumberEffects(column, seed) if column.is_number else IdEffects(column, seed)


class NumberEffects:
    """Linear in the number: standardised, it is the effect, and times a fixed direction the latent vector."""

    def __init__(self, column: Column, seed: int) -> None:
        self._mean, self._std = column.mean, column.std
        self._direction = uniforms(mixed(np.array([column.index]), seed))[:RANK]
        self.covariance: Float64 = (self._direction @ self._direction.T).astype(np.float64)

    def latent(self, values: Values) -> Float32:
        product: Float32 = self._direction * self.own(values)
        return product

    def own(self, values: Values) -> Float32:
        standard: Float32 = ((values - self._mean) / self._std).astype(np.float32)
        return standard

    def trend(self, values: Values) -> Float32:
        return self.own(values)


class IdEffects:
    """Hashed from seed, field and rank, so that ten million ids need no memory; a table where they are few."""

    def __init__(self, column: Column, seed: int) -> None:
        self._keys = seed, column.index
        mean, covariance = self._moments(column)
        std = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        std[std < 1e-6] = np.inf  # ids that all drew the same number have no effect; nothing is divided by zero
        self.covariance: Float64 = (covariance / np.outer(std, std))[:RANK, :RANK]
        self._mean = mean[:, None].astype(np.float32)
        self._scale = (1.0 / std)[:, None].astype(np.float32)
        self._table: Float32 | None = None
        if column.ids <= _TABLE:
            self._table = self._computed(slice(None), np.arange(column.ids))

    def latent(self, values: Values) -> Float32:
        if self._table is not None:
            return np.take(self._table[:RANK], values, axis=1)
        return self._computed(slice(RANK), values)

    def own(self, values: Values) -> Float32:
        return self._single(_OWN, values)

    def trend(self, values: Values) -> Float32:
        return self._single(_TREND, values)

    def _single(self, row: int, values: Values) -> Float32:
        if self._table is not None:
            return np.take(self._table[row], values)
        effect: Float32 = self._computed(slice(row, row + 1), values)[0]
        return effect

    def _computed(self, rows: slice, values: Values) -> Float32:
        effects: Float32 = (self._raw(values)[rows] - self._mean[rows]) * self._scale[rows]
        return effects

    def _moments(self, column: Column) -> tuple[Float64, Float64]:
        """Mean (_WIDTH,) and covariance (_WIDTH, _WIDTH) of the raw effects over the rows."""
        head = min(column.ids, _HEAD)
        shares = column.popularity.shares(head)
        mean, products = np.zeros(_WIDTH), np.zeros((_WIDTH, _WIDTH))
        for start in range(0, head, _PIECE):
            ranks = np.arange(start, min(start + _PIECE, head))
            raw = self._raw(ranks).astype(np.float64)
            mean += raw @ shares[ranks]
            products += (raw * shares[ranks]) @ raw.T
        # The few rows of ids still rarer, whose effects have all but faded.
        products += np.eye(_WIDTH) * max(0.0, 1.0 - float(shares.sum())) * _FADES / _HEAD
        return mean, products - np.outer(mean, mean)

    def _raw(self, ranks: Values) -> Float32:
        raw = uniforms(mixed(ranks, *self._keys))
        raw *= np.sqrt(_FADES / (_FADES + ranks)).astype(np.float32)
        return raw
