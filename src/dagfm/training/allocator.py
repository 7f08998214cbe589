"""Memory as training wants it: what a step frees stays with the process, and what is read at random has large pages."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


def keep_freed_memory() -> None:
    """Tell glibc not to return a step's buffers to the system: faulting the pages in again costs 10-25 % of a step.

    Applies to the whole process, and does nothing where the C library is another. What stays is bounded by the step's
    own peak.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, 32 << 20)
        mallopt(_TRIM_THRESHOLD, 1 << 30)


def zeros(shape: Sequence[int], device: torch.device, kind: type = np.float32) -> Tensor:
    """A tensor of zeros for random access: NumPy asks for large pages, which torch does not."""
    return torch.from_numpy(np.zeros(shape, kind)).to(device)
