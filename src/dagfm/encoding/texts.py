"""From a cell to the token text that a categorical field's vocabulary or hash sees."""

from __future__ import annotations

import polars as pl

from dagfm.encoding.bins import log_squared_text
from dagfm.encoding.times import instants, time_part
from dagfm.encoding.values import token_text
from dagfm.errors import InputError
from dagfm.schema import TIME_PARTS, Field


def texts_of(series: pl.Series, field: Field, origin: str) -> pl.Series:
    """Token text of every cell (n,) String of a field with one row id a row; null where missing.

    A function of each cell alone. Raises InputError, and BadValueError naming the row, for cells that cannot be read.
    """
    if field.encode in TIME_PARTS:
        return time_part(instants(series, field.time_format, origin), field.encode)
    if field.encode == "log_squared":
        return log_squared_text(series, origin)
    try:
        return token_text(series)
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
