"""Arrays on disk that are used like arrays in memory: their pages are the system's to keep or drop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dagfm.errors import InputError

BLOCK = 1 << 18
"""Rows of a mapped array that are worked on at a time."""


_PARSING = Lock()
"""numpy reads a file's header with Python's parser, which in Python 3.11 now and then fails ("AST constructor recursion
depth mismatch") when two threads are in it (CPython issue 106905)."""


def created(path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> NDArray[Any]:
    """A new ``.npy`` file of zeros, mapped for writing. Raises OSError naming it where the disk has not the room: a
    mapped page that finds none kills the process."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if 0 in shape:
        np.save(path, np.zeros(shape, dtype))
        return np.zeros(shape, dtype)
    array = np.lib.format.open_memmap(path, "w+", np.dtype(dtype), shape)
    if hasattr(os, "posix_fallocate"):
        try:
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
        except OSError as error:
            path.unlink()
            error.filename = str(path)
            raise
    return np.asarray(array)


def mapped(path: Path, *, writable: bool = False) -> NDArray[Any]:
    """A memory-mapped array, seen as a plain one: ``np.memmap`` does extra work at every slice."""
    try:
        with _PARSING:
            return np.asarray(np.load(path, mmap_mode="r+" if writable else "r", allow_pickle=False))
    except ValueError:
        return _loaded(path)


def blocks(count: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices that cut ``count`` rows into blocks, in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def _loaded(path: Path) -> NDArray[Any]:
    """An array that cannot be mapped, because it has no columns; anything else is damage."""
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
        return array
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not an array ({error}); the file is damaged") from None
