"""What an id or a number does: its own effect, its trend, and the latent vector that its interactions are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dagfm.data.simulate.columns import Column
from dagfm.data.simulate.hashing import Float32, mixed, uniforms

RANK = 4
"""Length of a latent vector."""
_TABLE = 1 << 17
"""Fields of up to this many ids keep their effects in a table; those of larger ones are computed where needed."""
_HEAD = 1 << 20
"""Means and variances are summed over this many ranks; beyond, ids are so many and so rare that theirs are known."""

Values = NDArray[np.int64] | NDArray[np.float64]


class Effects:
    """The effects of one field, each of mean 0 and variance 1 over the field's rows.

    The mean is zero over *rows*, not ids: an interaction then says nothing about any smaller set of its fields, and
    its order is really present.
    """

    def __init__(self, column: Column, seed: int) -> None:
        self._column, self._seed = column, seed
        self._shift = np.zeros((2 * RANK, 1), np.float32)
        self._scale = np.ones((2 * RANK, 1), np.float32)
        self._table: Float32 | None = None
        if column.is_number:
            directions = uniforms(mixed(np.array([column.index]), seed, _LATENT))
            self.covariance = directions @ directions.T
            self._directions = directions
            return
        head = min(column.ids, _HEAD)
        shares = column.popularity.shares(head)
        total = np.zeros(2 * RANK)
        products = np.zeros((2 * RANK, 2 * RANK))
        for start in range(0, head, 1 << 16):
            ranks = np.arange(start, min(start + (1 << 16), head))
            raw = self._raw(ranks, both=True).astype(np.float64)
            total += raw @ shares[ranks]
            products += (raw * shares[ranks]) @ raw.T
        products += np.eye(2 * RANK) * max(0.0, 1.0 - float(shares.sum()))
        covariance = products - np.outer(total, total)
        std = np.sqrt(np.maximum(np.diag(covariance), 0.0))
        std[std < 1e-6] = np.inf  # two ids with the same number: no effect, rather than one divided by nothing
        self._shift = total[:, None].astype(np.float32)
        self._scale = (1.0 / std)[:, None].astype(np.float32)
        self.covariance = (covariance / np.outer(std, std))[:RANK, :RANK]
        if column.ids <= _TABLE:
            self._table = self._standardised(np.arange(column.ids), both=True)

    def latent(self, values: Values) -> Float32:
        """The latent vectors (RANK, n) of ranks or numbers (n,)."""
        if self._column.is_number:
            return self._directions * self._standard(values)
        if self._table is not None:
            return np.take(self._table[:RANK], values, axis=1)
        return self._standardised(values, both=False)

    def own(self, values: Values, trend: bool = False) -> Float32:
        """The effects (n,) of ranks or numbers by themselves, or how these move with time."""
        if self._column.is_number:
            return self._standard(values)
        place = RANK + int(trend)
        if self._table is not None:
            return np.take(self._table[place], values)
        raw = uniforms(mixed(values, self._seed, self._column.index, _OWN))[int(trend)]
        return (raw - self._shift[place]) * self._scale[place]

    def _standard(self, numbers: Values) -> Float32:
        return ((numbers - self._column.mean) / self._column.std).astype(np.float32)

    def _standardised(self, ranks: Values, both: bool) -> Float32:
        raw = self._raw(ranks, both)
        raw -= self._shift[: len(raw)]
        raw *= self._scale[: len(raw)]
        return raw

    def _raw(self, ranks: Values, both: bool) -> Float32:
        latent = uniforms(mixed(ranks, self._seed, self._column.index, _LATENT))
        if not both:
            return latent
        return np.concatenate([latent, uniforms(mixed(ranks, self._seed, self._column.index, _OWN))])


_LATENT, _OWN = 0x1A, 0x0E
