"""Dropout in the compiled kernel: a number's fate is a hash of its place and the seed, so that no mask is kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import VERSIONS, chosen_version, library


def drop(values: NDArray[np.float32], seed: int, share: float, version: str | None = None) -> NDArray[np.float32]:
    """A share of the numbers set to zero, the others divided by 1 - share: the same places for the same seed.

    ``values``: float32, of any shape, contiguous. ``seed``: 0 to 2^64 - 1. ``share``: at least 0, below 1.
    """
    version, native = version or chosen_version(), library()
    assert version is not None and native is not None, "callers ask whether the kernel is available"
    if values.dtype != np.float32 or not values.flags.c_contiguous:
        raise ValueError(f"values are {values.dtype} {values.shape}, expected contiguous float32")
    kept = np.empty_like(values)
    native.dagfm_drop(
        kept.ctypes.data, values.ctypes.data, values.size, seed, int(share * 2**32), 1 / (1 - share),
        VERSIONS.index(version),
    )  # fmt: skip
    return kept
