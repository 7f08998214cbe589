"""Giving freed memory back to the system, so that what a process holds is what it uses."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

_TRIM = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
_TURNS = 16


def give_back() -> None:
    """Return what Arrow and the C library have kept of freed memory; without it chunk after chunk leaves holes behind,
    and the peak grows with the number of chunks."""
    pa.default_memory_pool().release_unused()
    if _TRIM is not None:
        _TRIM(0)


def give_back_after(turn: int) -> None:
    """``give_back`` after some of many equal turns (0, 1, ...). What is returned has to be got again: after every turn
    that takes a third of all time, while a few turns' holes cost little memory."""
    if turn % _TURNS == _TURNS - 1:
        give_back()
