"""Random numbers as a hash of who asks: looked up instead of drawn, so that ten million ids need no table."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt64 = NDArray[np.uint64]
Float32 = NDArray[np.float32]

_HALF = np.float32(32767.5)
_UNIT = np.float32(np.sqrt(3.0) / 32767.5)
"""Makes the 65,536 steps of a uniform number have variance 1."""


def mixed(values: NDArray[np.integer], *keys: int) -> UInt64:
    """A 64-bit hash of each value (n,) under integer keys: SplitMix64 (Steele, Lea, Flood 2014) keyed at its input."""
    key = np.uint64(0)
    for part in keys:
        key = _finished(np.array([int(key) ^ (part & 0xFFFF_FFFF_FFFF_FFFF)], np.uint64))[0]
    state = values.astype(np.uint64)
    state *= np.uint64(0x9E3779B97F4A7C15)
    state += key
    return _finished(state)


def uniforms(hashes: UInt64) -> Float32:
    """Four independent uniform numbers of mean 0 and variance 1 out of each hash (n,): (4, n).

    Bounded on purpose: products of three or four normal numbers have tails in which a few rows hold all the variance.
    """
    sixteen = hashes.view(np.uint16).reshape(-1, 4).T
    numbers = np.empty(sixteen.shape, np.float32)
    np.subtract(sixteen, _HALF, out=numbers, casting="unsafe")
    numbers *= _UNIT
    return numbers


def _finished(state: UInt64) -> UInt64:
    with np.errstate(over="ignore"):
        state = state + np.uint64(0x9E3779B97F4A7C15)
        state ^= state >> np.uint64(30)
        state *= np.uint64(0xBF58476D1CE4E5B9)
        state ^= state >> np.uint64(27)
        state *= np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return state
