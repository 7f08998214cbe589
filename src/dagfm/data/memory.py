"""Giving freed memory back to the system, so that what a process holds is what it uses."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None


def give_back() -> None:
    """Return what Arrow and the C library have kept of freed memory; without it chunk after chunk leaves holes behind,
    and the peak grows with the number of chunks."""
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)
