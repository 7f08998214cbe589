"""Points in time: from whatever a column holds to an instant, and the parts that become tokens."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import polars as pl

from dagfm.encoding.values import BadValueError, Float64, numbers, token_text
from dagfm.errors import InputError

_UNITS = ((1e11, 1e6), (1e14, 1e3), (1e17, 1.0))
"""Below which size a number of seconds, milli- and microseconds since 1970 ends, and microseconds in one of it."""
_FARTHEST = 2.5e17
"""Microseconds from 1970 to the year 9892; no number that is told in a unit of these is farther."""


def instants(series: pl.Series, time_format: str | None, origin: str) -> pl.Series:
    """The instant of every cell, (n,) Datetime in microseconds, null where missing.

    Dates and times as they are (zones moved to UTC), text by ``time_format``, else as ISO 8601, numbers as seconds,
    milli-, micro- or nanoseconds since 1970, whichever their size says. Raises BadValueError naming the row.
    """
    kind = series.dtype
    if kind == pl.Date:
        return series.cast(pl.Datetime("us"))
    if isinstance(kind, pl.Datetime):
        universal = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if kind.time_zone else series
        return universal.dt.cast_time_unit("us")
    if kind.is_nested() or kind.is_temporal():
        raise InputError(f"{origin}: column '{series.name}' holds {kind}, expected points in time")
    text = token_text(series)
    if time_format is not None:
        found = _parsed(text, time_format)
    elif kind.is_numeric() or text.cast(pl.Float64, strict=False).is_not_null().any():
        found = _counted(numbers(series, origin))
    else:
        found = _iso(text)
    bad = np.flatnonzero((found.is_null() & text.is_not_null()).to_numpy())
    if bad.size:
        row = int(bad[0])
        how = f"a time such as '{time_format}'" if time_format else "a time as ISO 8601 (or set 'time_format')"
        raise BadValueError(origin, row, f"column '{series.name}' holds {text[row]!r}, expected {how}")
    return found


def time_part(instant: pl.Series, part: str) -> pl.Series:
    """The token text of a part of ``instant`` (n,): hour 0 to 23, weekday 1 (Monday) to 7, is_weekend 0 or 1."""
    if part == "hour":
        number = instant.dt.hour()
    else:
        number = instant.dt.weekday()
        if part == "is_weekend":
            number = (number >= 6).cast(pl.Int8)
    return number.cast(pl.String)


def seconds(series: pl.Series, time_format: str | None, origin: str) -> Float64:
    """A column that orders rows in time, (n,) float64, NaN where missing: numbers as they are, dates in seconds."""
    text_of_numbers = series.dtype == pl.String and time_format is None and _all_numbers(series)
    if (series.dtype.is_numeric() and time_format is None) or text_of_numbers:
        return numbers(series, origin)
    micros = instants(series, time_format, origin).cast(pl.Int64).cast(pl.Float64)
    values: Float64 = micros.fill_null(np.nan).to_numpy() / 1e6
    return values


def _all_numbers(series: pl.Series) -> bool:
    text = token_text(series).drop_nulls()
    return not text.cast(pl.Float64, strict=False).is_null().any()


def _counted(values: Float64) -> pl.Series:
    """Numbers since 1970; null where that is no date that a calendar has."""
    size = np.abs(values)
    micros = np.full(len(values), np.nan)
    taken = np.zeros(len(values), bool)
    for limit, factor in _UNITS:
        here = (size < limit) & ~taken
        micros[here] = values[here] * factor
        taken |= here
    micros[~taken] = values[~taken] / 1e3
    micros[np.abs(micros) > _FARTHEST] = np.nan
    return pl.Series(micros, nan_to_null=True).floor().cast(pl.Int64).cast(pl.Datetime("us"))


def _parsed(text: pl.Series, time_format: str) -> pl.Series:
    """By ``datetime.strptime``: polars has formats of its own, and none of an hour without a minute."""
    return _each(text, lambda cell: datetime.strptime(cell, time_format))


def _iso(text: pl.Series) -> pl.Series:
    """ISO 8601, with or without a time of day; a zone is moved to UTC. What polars does not read, Python may."""
    plain = text.str.strip_chars().str.replace("T", " ", literal=True)
    found = plain.str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S%.f", strict=False)
    left = found.is_null() & text.is_not_null()
    if left.any():
        found = _each(text.set(~left, None), lambda cell: datetime.fromisoformat(cell.strip())).fill_null(found)
    return found


def _each(text: pl.Series, read: Callable[[str], datetime]) -> pl.Series:
    """``read`` of every distinct text; null where it cannot."""
    distinct = text.drop_nulls().unique()
    instant: list[datetime | None] = []
    for cell in distinct.to_list():
        try:
            moment = read(cell)
        except ValueError:
            instant.append(None)
            continue
        instant.append(moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment)
    table = pl.DataFrame({"text": distinct, "at": pl.Series(instant, dtype=pl.Datetime("us"))})
    return text.alias("text").to_frame().join(table, on="text", how="left", maintain_order="left")["at"]
