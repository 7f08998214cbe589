"""A step of Adam over whole arrays, in the compiled kernel."""

from __future__ import annotations

import ctypes

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import VERSIONS, AdamRule, chosen_version, library

Floats = NDArray[np.float32]


def rule_of(rate: float, step: int, mean_left: float, square_left: float, epsilon: float) -> AdamRule:
    """What step number ``step``, from 1 on, has in common for all weights (Kingma and Ba, ICLR 2015, algorithm 1)."""
    square_fix = 1 / (1 - square_left**step)
    return AdamRule(rate / (1 - mean_left**step), mean_left, square_left, square_fix, epsilon)


def move(
    weight: Floats, grad: Floats, mean: Floats, square: Floats, decay: float, rule: AdamRule, version: str | None = None
) -> None:
    """Move ``weight`` and its moments, in place, against ``grad`` plus ``decay`` times the weight.

    All are float32 of one shape and contiguous; raises ValueError where one is not.
    """
    version, native = version or chosen_version(), library()
    assert version is not None and native is not None, "callers ask whether the kernel is available"
    for array in (weight, grad, mean, square):
        if array.dtype != np.float32 or array.shape != weight.shape or not array.flags.c_contiguous:
            raise ValueError(f"an array is {array.dtype} {array.shape}, expected contiguous float32 {weight.shape}")
    addresses = (array.ctypes.data for array in (weight, grad, mean, square))
    native.dagfm_adam(ctypes.addressof(rule), weight.size, decay, *addresses, VERSIONS.index(version))
