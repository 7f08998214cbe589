"""A column from plain Python values, which may be of several types: what JSON and a careless caller send."""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import partial
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
    kinds = set(map(type, cells))
    if any(kind.__name__ in _PANDAS_NULLS for kind in kinds):
        cells = [None if type(cell).__name__ in _PANDAS_NULLS else cell for cell in cells]
        kinds = set(map(type, cells))
    of_type = {kind: _maker(kind) for kind in kinds if kind is not type(None)}
    if not of_type:
        return pl.Series(name, [None] * len(cells), dtype=pl.Null)
    if _objects in of_type.values():
        return _objects(name, cells)
    if len(set(of_type.values())) == 1:
        return next(iter(of_type.values()))(name, cells)
    makers: dict[_Maker, list[int]] = {}
    for row, cell in enumerate(cells):
        if cell is not None:
            makers.setdefault(of_type[type(cell)], []).append(row)
    if _lists in makers:
        row = next(rows[0] for maker, rows in makers.items() if maker is not _lists)
        raise InputError(f"column '{name}': row {row + 1} holds {cells[row]!r}, but other rows hold lists")
    mixed: list[str | None] = [None] * len(cells)
    for make, rows in makers.items():
        for row, text in zip(rows, token_text(make(name, [cells[row] for row in rows])).to_list(), strict=True):
            mixed[row] = text
    return pl.Series(name, mixed, dtype=pl.String)


_Maker = Callable[[str, Sequence[Any]], pl.Series]

_PANDAS_NULLS = ("NAType", "NaTType")


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


def _scalars(name: str, cells: Sequence[Any]) -> pl.Series:
    """NumPy scalars of one type keep it: the token text of a float32 is not that of the same float64."""
    present = np.array([cell is not None for cell in cells])
    dense = pl.Series(name, np.array([cell for cell in cells if cell is not None]))
    return dense.gather(pl.Series(np.cumsum(present) - 1).set(pl.Series(~present), None))


def _decimals(name: str, cells: Sequence[Any]) -> pl.Series:
    """As text: polars' decimals have neither NaN nor more than 38 digits."""
    return _texts(name, [None if cell is None or cell.is_nan() else _shortest(f"{cell:f}") for cell in cells])


def _shortest(number: str) -> str:
    return number.rstrip("0").rstrip(".") if "." in number else number


def _datetimes(name: str, cells: Sequence[Any]) -> pl.Series:
    local = [cell.tzinfo is None for cell in cells if cell is not None]
    if all(local):
        return pl.Series(name, cells, dtype=pl.Datetime("us"))
    if any(local):
        texts = [None if cell is None else token_text(_datetimes(name, [cell]))[0] for cell in cells]
        return pl.Series(name, texts, dtype=pl.String)
    moved = [None if cell is None else cell.astimezone(datetime.UTC) for cell in cells]
    return pl.Series(name, moved, dtype=pl.Datetime("us", "UTC"))


def _spelled(name: str, cells: Sequence[Any]) -> pl.Series:
    return _texts(name, [None if cell is None else str(cell) for cell in cells])


def _objects(name: str, cells: Sequence[Any]) -> pl.Series:
    """Dicts and sets are no values: structs, as every field refuses them, and columns of no field may hold them."""
    return pl.Series(
        name, [None if cell is None else {"": str(cell)} for cell in cells], dtype=pl.Struct({"": pl.String})
    )


def _lists(name: str, cells: Sequence[Any]) -> pl.Series:
    items = column(name, [item for cell in cells if cell is not None for item in cell])
    if items.dtype == pl.Struct:
        return _objects(name, cells)
    if items.dtype.is_nested():
        raise InputError(f"column '{name}' holds lists of lists, expected lists of values")
    flat, lists, start = items.to_list(), [], 0
    for cell in cells:
        stop = start + (0 if cell is None else len(cell))
        lists.append(None if cell is None else flat[start:stop])
        start = stop
    return pl.Series(name, lists, dtype=pl.List(items.dtype))


_MAKERS: tuple[tuple[type | tuple[type, ...], _Maker], ...] = (
    ((bool, np.bool_), partial(pl.Series, dtype=pl.Boolean)),
    (int, _integers),
    (float, _floats),
    (str, _texts),
    ((list, tuple, np.ndarray, pl.Series), _lists),
    (decimal.Decimal, _decimals),
    (datetime.datetime, _datetimes),
    (datetime.date, partial(pl.Series, dtype=pl.Date)),
    (datetime.time, partial(pl.Series, dtype=pl.Time)),
    (datetime.timedelta, partial(pl.Series, dtype=pl.Duration("us"))),
    (bytes, partial(pl.Series, dtype=pl.Binary)),
    ((Mapping, AbstractSet), _objects),
)


def _maker(kind: type) -> _Maker:
    if issubclass(kind, np.floating | np.integer) and kind is not np.float64:
        return partial(_scalars)  # one for each type: 0.1 as float32 must not become a float64 beside one
    return next((make for kinds, make in _MAKERS if issubclass(kind, kinds)), _spelled)
