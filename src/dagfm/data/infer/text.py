"""What a text column holds: numbers, codes, or several values with a separator."""

from __future__ import annotations

import polars as pl

SEPARATORS = ("|", ";", ",", " ")
"""From the least ambiguous on."""
SEPARATED_SHARE = 0.2  # of the cells; fewer look like an accident of spelling

_WHOLE = r"^[+-]?\d{1,18}$"
_NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
_LEADING_ZERO = r"^[+-]?0\d"
_TOO_LONG = r"^[+-]?\d{19,}$"


def numbers_in_text(values: pl.Series) -> pl.Series:
    """The column as integers or floats where every cell reads as one; empty cells become null.

    Numbers with a leading zero stay text: they are codes (007, 08540), and the zero tells them apart. So do whole
    numbers that no 64-bit integer holds: as floats, different ids would become equal.
    """
    if values.dtype != pl.String:
        return values
    values = values.set(values == "", None)
    present = values.drop_nulls()
    if present.is_empty() or present.str.contains(f"{_LEADING_ZERO}|{_TOO_LONG}").any():
        return values
    if present.str.contains(_WHOLE).all():
        return values.cast(pl.Int64)
    if present.str.contains(_NUMBER).all():
        return values.cast(pl.Float64)
    return values


def is_code(present: pl.Series) -> bool:
    """Whether the cells are digits only, some with a leading zero."""
    return bool(present.str.contains(_WHOLE).all() and present.str.contains(_LEADING_ZERO).any())


def recurring_separator(present: pl.Series) -> str | None:
    """The separator that splits the cells into values that recur, or None.

    A title has spaces too; but split into words it has more distinct words than there are titles, while a list of
    genres has fewer genres than combinations.
    """
    cells = present.unique()
    for separator in SEPARATORS:
        inside = present.str.strip_chars(separator).str.contains(separator, literal=True)
        if inside.sum() < SEPARATED_SHARE * len(present):
            continue
        if cells.str.split(separator).explode().n_unique() < len(cells):
            return separator
    return None
