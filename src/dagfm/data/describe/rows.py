"""What is known of some rows besides their fields: part, label, weight, and the two halves that check each other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dagfm.data.split import PARTS, Parts
from dagfm.encoding.rows import Float32, Int64
from dagfm.encoding.values import Float64

UInt64 = NDArray[np.uint64]
WEIGHT, CLICKS = 3, 5
"""First columns of sums (n, 7): rows of train, valid and test; then weight, and clicked weight, of each half."""
SUMS = 7


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows of the log, none of them left out."""

    numbers: Int64
    """(n,), where they stand in the log."""
    parts: Parts
    """(n,)."""
    clicks: Float32
    """(n,), of aggregated rows the click rate."""
    weights: Float32 | None
    """(n,)."""

    def __len__(self) -> int:
        return len(self.numbers)

    def take(self, which: NDArray[np.integer] | NDArray[np.bool_]) -> Rows:
        """Those of some positions."""
        weights = None if self.weights is None else self.weights[which]
        return Rows(self.numbers[which], self.parts[which], self.clicks[which], weights)

    def repeated(self, lengths: Int64) -> Rows:
        """Each row as often as it has items."""
        return self.take(np.repeat(np.arange(len(self)), lengths))

    @classmethod
    def joined(cls, pieces: list[Rows]) -> Rows:
        """Several pieces as one."""
        weighted = bool(pieces) and pieces[0].weights is not None
        return cls(
            np.concatenate([np.zeros(0, np.int64), *(one.numbers for one in pieces)]),
            np.concatenate([np.zeros(0, np.uint8), *(one.parts for one in pieces)]),
            np.concatenate([np.zeros(0, np.float32), *(one.clicks for one in pieces)]),
            np.concatenate([one.weights for one in pieces if one.weights is not None]) if weighted else None,
        )

    @cached_property
    def half(self) -> NDArray[np.uint8]:
        """(n,) 0 or 1, by the row's number alone: what one half says of a value is tried on the other."""
        return (scattered(self.numbers.astype(np.uint64)) >> np.uint64(63)).astype(np.uint8)

    @cached_property
    def _clicked(self) -> tuple[Int64, Float64]:
        """Rows with clicks, and how much of them."""
        where = np.flatnonzero(self.clicks)
        amount = self.clicks[where].astype(np.float64)
        return where, amount if self.weights is None else amount * self.weights[where]

    def sums(self, codes: NDArray[np.integer], size: int) -> Float64:
        """Sums (size, 7) of the rows by their codes (n,), each below ``size``."""
        wide = codes.astype(np.int64)
        found = np.empty((size, SUMS))
        found[:, : len(PARTS)] = np.bincount(wide * 3 + self.parts, minlength=3 * size).reshape(size, 3)
        halved = wide * 2 + self.half
        found[:, WEIGHT:CLICKS] = np.bincount(halved, self.weights, minlength=2 * size).reshape(size, 2)
        where, amount = self._clicked
        found[:, CLICKS:] = np.bincount(halved[where], amount, minlength=2 * size).reshape(size, 2)
        return found


def scattered(numbers: UInt64) -> UInt64:
    """Numbers (n,) mapped to others, one to one, without a trace of their order (the finalizer of SplitMix64)."""
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
