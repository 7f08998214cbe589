"""A column from plain Python values, which may be of several types: what JSON and a careless caller send."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.values import token_text
from dagfm.errors import InputError


def column(name: str, values: Iterable[Any]) -> pl.Series:
    """``values`` as a column called ``name``; None is null, and values of several types become their token text.

    A value means the same whatever stands in the other rows: 5 beside "5" is the token 5 in both. Raises InputError
    where some cells are lists and others are not.
    """
    cells = list(values)
    makers: dict[_Maker, list[int]] = {}
    for row, cell in enumerate(cells):
        if cell is not None:
            makers.setdefault(_maker(type(cell)), []).append(row)
    if not makers:
        return pl.Series(name, [None] * len(cells), dtype=pl.Null)
    if len(makers) == 1:
        return next(iter(makers))(name, cells)
    if _lists in makers:
        row = next(rows[0] for maker, rows in makers.items() if maker is not _lists)
        raise InputError(f"column '{name}': row {row + 1} holds {cells[row]!r}, but other rows hold lists")
    mixed: list[str | None] = [None] * len(cells)
    for make, rows in makers.items():
        for row, text in zip(rows, token_text(make(name, [cells[row] for row in rows])).to_list(), strict=True):
            mixed[row] = text
    return pl.Series(name, mixed, dtype=pl.String)


_Maker = Callable[[str, Sequence[Any]], pl.Series]


def _booleans(name: str, cells: Sequence[Any]) -> pl.Series:
    return pl.Series(name, cells, dtype=pl.Boolean)


def _integers(name: str, cells: Sequence[Any]) -> pl.Series:
    try:
        return pl.Series(name, cells, dtype=pl.Int64)
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        return pl.Series(name, [None if cell is None else str(int(cell)) for cell in cells], dtype=pl.String)


def _floats(name: str, cells: Sequence[Any]) -> pl.Series:
    return pl.Series(name, [None if cell is None else float(cell) for cell in cells], dtype=pl.Float64)


def _texts(name: str, cells: Sequence[Any]) -> pl.Series:
    try:
        return pl.Series(name, cells, dtype=pl.String)
    except UnicodeEncodeError:
        # Half of a surrogate pair is legal in JSON and in Python, and no text to anybody else.
        valid = [None if cell is None else str(cell).encode("utf-8", "replace").decode() for cell in cells]
        return pl.Series(name, valid, dtype=pl.String)


def _arrays(name: str, cells: Sequence[Any]) -> pl.Series:
    """NumPy scalars keep their width: the token text of a float32 is not that of the same float64."""
    present = [cell for cell in cells if cell is not None]
    dense = pl.Series(name, np.array(present))
    if len(present) == len(cells):
        return dense
    positions = pl.Series(np.cumsum([cell is not None for cell in cells]) - 1)
    return dense.gather(positions.set(pl.Series([cell is None for cell in cells]), None))


def _native(name: str, cells: Sequence[Any]) -> pl.Series:
    """Dates, times, decimals and bytes, which polars knows."""
    return pl.Series(name, cells)


def _spelled(name: str, cells: Sequence[Any]) -> pl.Series:
    return _texts(name, [None if cell is None else str(cell) for cell in cells])


def _lists(name: str, cells: Sequence[Any]) -> pl.Series:
    items = column(name, [item for cell in cells if cell is not None for item in cell])
    if items.dtype.is_nested():
        raise InputError(f"column '{name}' holds lists of lists, expected lists of values")
    flat, lists, start = items.to_list(), [], 0
    for cell in cells:
        stop = start + (0 if cell is None else len(cell))
        lists.append(None if cell is None else flat[start:stop])
        start = stop
    return pl.Series(name, lists, dtype=pl.List(items.dtype))


_MAKERS: tuple[tuple[tuple[type, ...], _Maker], ...] = (
    ((bool, np.bool_), _booleans),
    ((np.floating, np.integer), _arrays),
    ((int,), _integers),
    ((float,), _floats),
    ((str,), _texts),
    ((list, tuple, np.ndarray, pl.Series), _lists),
    ((datetime.date, datetime.time, datetime.timedelta, decimal.Decimal, bytes), _native),
)


def _maker(kind: type) -> _Maker:
    return next((make for kinds, make in _MAKERS if issubclass(kind, kinds)), _spelled)
