"""Texts of Python in an array of objects, as the three parts of Arrow's column of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import text_reader


def joined(cells: NDArray[Any], null: object) -> tuple[NDArray[np.uint8], NDArray[np.int64], bytes] | None:
    """Which cells (n,) are texts, a bit each; where each text starts and the last one ends (n + 1,); their UTF-8.

    None, NaN and ``null`` are missing. None where a cell is something else, or no text to anybody but Python, and where
    Python's headers were missing when the kernel was built.
    """
    reader, count = text_reader(), len(cells)
    if reader is None:
        return None
    valid, offsets = np.zeros((count + 7) // 8, np.uint8), np.empty(count + 1, np.int64)
    found = reader(cells.ctypes.data, cells.strides[0], count, null, offsets.ctypes.data, valid.ctypes.data)
    return None if found is None else (valid, offsets, found)
