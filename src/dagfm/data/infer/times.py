"""Whether a column is a point in time, and the fields that it gives: hour, weekday, is_weekend."""

from __future__ import annotations

import polars as pl

from dagfm.data.infer.names import vocabulary, words
from dagfm.data.infer.proposal import Column, LeftOut, TimeColumn
from dagfm.encoding.times import instants, time_part
from dagfm.errors import InputError
from dagfm.schema import TIME_PARTS

TIME_WORDS = vocabulary("time timestamp ts date datetime at epoch")
_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}.*)?$"
_EPOCHS = [(3e8 * unit, 5e9 * unit) for unit in (1, 1e3, 1e6, 1e9)]  # 1979 to 2128, in s, ms, us and ns
_FORMATS = (None, "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%Y/%m/%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d")


def is_time(values: pl.Series) -> bool:
    """By dtype, by text such as ``2024-05-01 10:00``, or by name together with numbers that are seconds since 1970.

    Numbers alone do not tell: an id can lie in that range.
    """
    present = values.drop_nulls()
    if present.dtype.is_temporal():
        return True
    if present.is_empty():
        return False
    if present.dtype == pl.String:
        if bool(present.str.contains(_ISO).all()):
            return True
        present = present.cast(pl.Float64, strict=False).drop_nulls()
    if not present.dtype.is_numeric() or present.is_empty() or TIME_WORDS.isdisjoint(words(values.name)):
        return False
    numbers = present.cast(pl.Float64)
    return any(bool(numbers.is_between(low, high).all()) for low, high in _EPOCHS)


def time_column(values: pl.Series) -> TimeColumn | None:
    """How the points in time of a column are read; None where their text is in no format that is known here."""
    for time_format in _FORMATS:
        try:
            instants(values, time_format, values.name)
        except InputError:
            continue
        return TimeColumn(values.name, time_format)
    return None


def proposed_parts(values: pl.Series, time: TimeColumn | None, taken: set[str]) -> list[Column | LeftOut]:
    """The parts of a column of points in time that differ between rows, called as they are unless the name is taken;
    ``taken`` then holds theirs, too.

    The column itself is left out: no row of tomorrow has a moment that was seen.
    """
    if time is None:
        why = "is a point in time in a format of its own: give hour, weekday and is_weekend a time_format to use it"
        return [LeftOut(values.name, why, "token")]
    found = instants(values, time.time_format, values.name)
    parts: list[Column | LeftOut] = []
    for part in TIME_PARTS:
        told = time_part(found, part).drop_nulls()
        if (distinct := told.n_unique()) > 1:
            name = part if part not in taken else f"{values.name}_{part}"
            taken.add(name)
            why = f"of the point in time '{values.name}', in UTC unless the data says it otherwise; {distinct} distinct"
            parts.append(Column(name, "token", why, column=values.name, encode=part, time_format=time.time_format))
    why = "is a point in time; its parts are fields" if parts else "is a point in time, of one hour and day"
    return [*parts, LeftOut(values.name, why, "token")]
