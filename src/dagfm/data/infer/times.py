"""Whether a column is a point in time."""

from __future__ import annotations

import polars as pl

from dagfm.data.infer.names import vocabulary, words

TIME_WORDS = vocabulary("time timestamp ts date datetime at epoch")
_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}.*)?$"
_EPOCHS = [(3e8 * unit, 5e9 * unit) for unit in (1, 1e3, 1e6, 1e9)]  # 1979 to 2128, in s, ms, us and ns


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
