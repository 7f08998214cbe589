"""Texts of Python to bytes and from bytes, many at a time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import text_functions


def joined(cells: NDArray[Any], null: object) -> tuple[NDArray[np.uint8], NDArray[np.int64], bytes] | None:
    """The three parts of Arrow's column of the texts in an array of objects (n,).

    Which cells are texts, a bit each; where each text starts and the last one ends (n + 1,); their UTF-8. None, NaN and
    ``null`` are missing. None where a cell is something else, or no text to anybody but Python, and where Python's
    headers were missing when the kernel was built.
    """
    functions, count = text_functions(), len(cells)
    if functions is None:
        return None
    valid, offsets = np.zeros((count + 7) // 8, np.uint8), np.empty(count + 1, np.int64)
    found = functions[0](cells.ctypes.data, cells.strides[0], count, null, offsets.ctypes.data, valid.ctypes.data)
    return None if found is None else (valid, offsets, found)


def cut(data: bytes, count: int) -> list[str] | None:
    """``count`` texts that lie one after the other, each its size, uint32 little-endian, and so many bytes of UTF-8.

    None where ``data`` is anything else, and without Python's headers. Other threads wait meanwhile.
    """
    functions = text_functions()
    return None if functions is None else functions[1](data, len(data), count)
