"""Sums by value in bounded memory: all values while they are few, then those of the smallest hashes."""

from __future__ import annotations

import numpy as np

from dagfm.data.describe.rows import SUMS, UInt64
from dagfm.encoding.rows import Int64
from dagfm.encoding.values import Float64

LIMIT = 100_000
"""Values whose sums are kept. The estimate of how many there are is then off by 1 / sqrt(LIMIT), 0.3 %, as a rule."""
_HASHES = 2.0**64


class Sketch:
    """The values of a field by hash, each with the sums of all its rows.

    Up to ``limit`` values it is exact. Beyond, it keeps the ``limit`` smallest hashes: a uniform sample of the distinct
    values, each still with all its rows, because the limit only falls (Bar-Yossef et al., RANDOM 2002, "bottom k";
    Gibbons, VLDB 2001, "distinct sampling").
    """

    def __init__(self, limit: int | None = None) -> None:
        self._limit = LIMIT if limit is None else limit
        self.keys: UInt64 = np.zeros(0, np.uint64)
        """(values,), ascending."""
        self.sums: Float64 = np.zeros((0, SUMS))
        """(values, 7)."""
        self.highest: np.uint64 | None = None
        """The largest hash that is kept; None while all are."""

    @property
    def exact(self) -> bool:
        """Whether no value has been left out."""
        return self.highest is None

    @property
    def share(self) -> float:
        """The share of all distinct values that are here."""
        return 1.0 if self.highest is None else (float(self.highest) + 1.0) / _HASHES

    @property
    def distinct(self) -> int:
        """How many distinct values there are, or an unbiased estimate."""
        return len(self.keys) if self.exact else round((len(self.keys) - 1) / self.share)

    def kept(self, keys: UInt64) -> Int64:
        """Positions in ``keys`` (n,) of those that are not beyond the limit."""
        return np.arange(len(keys)) if self.highest is None else np.flatnonzero(keys <= self.highest)

    def add(self, keys: UInt64, sums: Float64) -> Int64:
        """Add sums (n, 7) of the values ``keys`` (n,), which may repeat; returns the positions of values new here."""
        chosen = self.kept(keys)
        order = chosen[np.argsort(keys[chosen])]
        ordered = keys[order]
        first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1])) if len(ordered) else order
        added = sums[order]
        if len(first) < len(ordered):
            added = np.add.reduceat(added, first, axis=0)
        ordered, order = ordered[first], order[first]
        places = np.searchsorted(self.keys, ordered)
        known = np.zeros(len(ordered), bool)
        inside = places < len(self.keys)
        known[inside] = self.keys[places[inside]] == ordered[inside]
        self.sums[places[known]] += added[known]
        new = ~known
        if new.any():
            self.keys = np.insert(self.keys, places[new], ordered[new])
            self.sums = np.insert(self.sums, places[new], added[new], axis=0)
        if len(self.keys) > self._limit:
            self.highest = self.keys[self._limit - 1]
            # Copies, so that what is left out is freed.
            self.keys, self.sums = self.keys[: self._limit].copy(), self.sums[: self._limit].copy()
            new &= ordered <= self.highest
        return order[new]

    def rows_of(self, keys: UInt64, columns: slice) -> Float64:
        """The sum over ``columns`` of each of ``keys`` (n,), 0 for one that is not here."""
        places = np.minimum(np.searchsorted(self.keys, keys), max(len(self.keys) - 1, 0))
        if not len(self.keys):
            return np.zeros(len(keys))
        found: Float64 = np.where(self.keys[places] == keys, self.sums[places, columns].sum(axis=1), 0.0)
        return found
