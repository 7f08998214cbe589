"""How often the ids of a field occur, and the text that stands for them in the files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagfm.data.simulate.hashing import mixed

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]
UInt32 = NDArray[np.uint32]

WIDTH = 8
"""Hex digits of an id's text, as in Criteo and Avazu."""

_BYTES = np.array([f"{value:02x}" for value in range(256)], "S2").view(np.uint16)
_PAIRS = (_BYTES[:, None].astype(np.uint32) | (_BYTES[None, :].astype(np.uint32) << np.uint32(16))).reshape(-1)
"""The text of each 16-bit number, four bytes in the machine's order."""


@dataclass(frozen=True)
class Popularity:
    """A bounded Zipf law: rank k, from 1 to ``ids``, has a share proportional to the integral of x^-exponent over
    [k, k + 1].

    The integral stands for k^-exponent so that a share and its inverse are formulas, for any number of ids.
    """

    ids: int
    exponent: float

    def ranks(self, uniform: Float64) -> Int64:
        """The rank, from 0, at each quantile in [0, 1): (n,)."""
        power = 1.0 - self.exponent
        if abs(power) < _LOGARITHMIC:
            place = np.exp(uniform * np.log(self.ids + 1.0))
        elif power == 1.0:
            place = 1.0 + uniform * self.ids
        else:
            place = (1.0 + uniform * ((self.ids + 1.0) ** power - 1.0)) ** (1.0 / power)
        ranks: Int64 = place.astype(np.int64)
        ranks -= 1
        return np.clip(ranks, 0, self.ids - 1, out=ranks)

    def shares(self, count: int) -> Float64:
        """The probability of each of the first ``count`` ranks."""
        edges = np.arange(1.0, count + 2.0)
        power = 1.0 - self.exponent
        if abs(power) < _LOGARITHMIC:
            below = np.log(edges) / np.log(self.ids + 1.0)
        else:
            below = (edges**power - 1.0) / ((self.ids + 1.0) ** power - 1.0)
        shares: Float64 = np.diff(below)
        return shares


_LOGARITHMIC = 1e-6
"""So near to 1 the general formula loses its digits, and the limit is as good."""


def scrambled(ranks: NDArray[np.integer], seed: int, field: int) -> UInt32:
    """A number of 32 bits for each rank (n,), different for different ranks, that does not tell its rank.

    The finaliser of MurmurHash3 behind a key: each of its steps can be undone, so no two ranks meet.
    """
    key = np.uint32(mixed(np.array([field]), seed, _ID_KEY)[0] & np.uint64(0xFFFF_FFFF))
    code = ranks.astype(np.uint32)
    code += key
    code ^= code >> np.uint32(16)
    code *= np.uint32(0x85EBCA6B)
    code ^= code >> np.uint32(13)
    code *= np.uint32(0xC2B2AE35)
    code ^= code >> np.uint32(16)
    return code


_ID_KEY = 0x1D


def hexadecimal(codes: UInt32) -> NDArray[np.uint8]:
    """The text of each code: its 8 hex digits, (n, 8) bytes of ASCII."""
    text = np.empty((len(codes), 2), np.uint32)
    text[:, 0] = _PAIRS[codes >> np.uint32(16)]
    text[:, 1] = _PAIRS[codes & np.uint32(0xFFFF)]
    return text.view(np.uint8)
