"""What a cell says: the canonical text of a token and the number of a float, the same from every kind of input."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.errors import InputError

Float64 = NDArray[np.float64]

EXACT = 2.0**53
"""Below this size a float that is integral is exactly one integer."""


class BadValueError(InputError):
    """A cell that cannot be what its field needs; carries the row so that a reader of many files can name the file."""

    def __init__(self, origin: str, row: int, problem: str) -> None:
        super().__init__(f"{origin}: row {row + 1}: {problem}")
        self.row = row
        """Position in the table, from 0."""
        self.problem = problem


def token_text(series: pl.Series) -> pl.Series:
    """Canonical text of every cell, (n,) String; null where missing (null, NaN or empty).

    5, 5.0 and "5" are one token, because a table with nulls turns integers into floats; "5.0" and "007" are text
    and stay as they are. Raises InputError for columns of lists or structs.
    """
    kind = series.dtype
    if kind == pl.String:
        text = series
    elif kind.is_float():
        text = _float_text(series)
    elif kind.is_decimal():
        text = series.cast(pl.String).str.replace(r"(\.\d*?)0+$", "$1").str.replace(r"\.$", "")
    elif isinstance(kind, pl.Datetime):
        universal = series.dt.convert_time_zone("UTC") if kind.time_zone else series
        text = universal.dt.cast_time_unit("us").cast(pl.String)
    elif isinstance(kind, pl.Duration):
        text = series.dt.total_microseconds().cast(pl.String)
    elif kind == pl.Binary:
        # Some writers store text as bytes. Undecodable ones become \xff and the like: a token, not a failure.
        decoded = [None if cell is None else cell.decode("utf-8", "backslashreplace") for cell in series.to_list()]
        text = pl.Series(series.name, decoded, dtype=pl.String)
    elif kind.is_nested() or kind == pl.Object:
        raise InputError(
            f"column '{series.name}' holds {told(kind)}, expected one value a row; lists need type token_seq"
        )
    else:
        text = series.cast(pl.String)
    return text.set(text == "", None)


def told(kind: pl.DataType) -> str:
    """How messages call a type."""
    return "objects" if kind == pl.Struct else str(kind)


def numbers(series: pl.Series, origin: str) -> Float64:
    """The number of every cell, (n,) float64; NaN where missing (null, NaN, empty or blank text).

    Raises BadValueError naming ``origin``, the row and the text for text that is no number, and for infinity.
    """
    kind = series.dtype
    if kind.is_nested() or kind.is_temporal() or kind in (pl.Object, pl.Binary):
        raise InputError(f"{origin}: column '{series.name}' holds {told(kind)}, expected numbers")
    if kind.is_numeric() or kind in (pl.Boolean, pl.Null):
        values = series.cast(pl.Float64)
    else:
        text = series.cast(pl.String).str.strip_chars()
        text = text.set(text == "", None)
        values = text.cast(pl.Float64, strict=False)
        bad = (values.is_null() & text.is_not_null()).arg_max()
        if bad is not None and values[bad] is None and text[bad] is not None:
            raise BadValueError(origin, bad, f"column '{series.name}' holds {series[bad]!r}, expected a number")
    array = values.fill_null(np.nan).to_numpy()
    infinite = np.flatnonzero(np.isinf(array))
    if infinite.size:
        row = int(infinite[0])
        raise BadValueError(origin, row, f"column '{series.name}' holds {series[row]!r}, expected a finite number")
    return array


def _float_text(series: pl.Series) -> pl.Series:
    """Integral floats as integers, the others as Python writes them, which every version and machine does alike."""
    integral = (series.abs() < EXACT) & (series == series.round(0))
    text = series.set(~integral, None).cast(pl.Int64).cast(pl.String)
    others = series.is_not_null() & series.is_not_nan() & ~integral
    if not others.any():
        return text
    distinct = series.filter(others).unique()
    # numpy's str, not Python's repr: it also knows the shortest text of a float32.
    spelled = pl.Series([str(value) for value in distinct.to_numpy()], dtype=pl.String)
    return (
        series.set(~others, None)
        .replace_strict(distinct, spelled, default=None, return_dtype=pl.String)
        .zip_with(others, text)
    )
