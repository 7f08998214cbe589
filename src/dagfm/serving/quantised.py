"""Smaller embedding tables: half floats, or 8-bit integers with a scale for each row; and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.errors import InputError
from dagfm.kernel.scoring import Table

KINDS = ("float32", "float16", "int8")

_LARGEST = float(np.finfo(np.float16).max)
_MOST = 127
_BLOCK = 1 << 16
"""Rows that are worked on at a time: what is in between takes several times the memory of the result."""


def quantised(table: NDArray[np.float32], kind: str) -> Table:
    """The table (rows, width) in numbers of this kind, the nearest to its own.

    float16 cuts off what training never made, numbers beyond 65,504. int8: a row's largest number is 127 steps of a
    size of its own, a half float. Raises InputError for another kind.
    """
    if kind not in KINDS:
        raise InputError(f"weights are {kind!r}, expected {', '.join(KINDS)}")
    if kind == "float32":
        return Table(np.ascontiguousarray(table, np.float32))
    rows = np.empty(table.shape, kind)
    scales = np.empty(len(table), np.float16) if kind == "int8" else None
    for start in range(0, len(table), _BLOCK):
        block = slice(start, start + _BLOCK)
        if scales is None:
            rows[block] = halves(table[block])
        else:
            rows[block], scales[block] = _whole(table[block])
    return Table(rows, scales)


def halves(numbers: NDArray[np.float32]) -> NDArray[np.float16]:
    """The nearest half floats, those beyond 65,504 cut off."""
    found: NDArray[np.float16] = np.clip(numbers, -_LARGEST, _LARGEST).astype(np.float16)
    return found


def _whole(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Steps (rows, width), and how large they are in each row (rows,)."""
    steps = np.abs(table).max(axis=1, initial=0.0) / _MOST
    scales = halves(steps)
    scales = np.where(scales < steps, np.nextafter(scales, np.float16(_LARGEST)), scales)  # no number is cut off
    sizes = np.where(scales > 0, scales, np.float16(1)).astype(np.float32)
    return np.clip(np.rint(table / sizes[:, None]), -_MOST, _MOST).astype(np.int8), scales


def expanded(table: Table, rows: slice = slice(None)) -> NDArray[np.float32]:
    """Its numbers (rows, width), or those of some rows, as float32."""
    numbers: NDArray[Any] = table.rows[rows]
    if table.scales is None:
        return np.asarray(numbers, np.float32)
    whole: NDArray[np.float32] = numbers.astype(np.float32) * table.scales[rows, None].astype(np.float32)
    return whole


class Expanding:
    """A table that is read as float32 and stays as small as it is: rows are expanded as they are asked for."""

    def __init__(self, table: Table) -> None:
        self._table, self.shape = table, table.rows.shape

    def __getitem__(self, rows: Any) -> NDArray[np.float32]:
        """The numbers of one row (width,), or of several (rows, width), by index or by slice."""
        return expanded(self._table, rows)
