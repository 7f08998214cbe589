"""Ids that may have lost something before they came here, or that another file may spell differently."""

from __future__ import annotations

import polars as pl

from dagfm.data.infer.text import is_code
from dagfm.encoding.values import EXACT

_BEYOND = 2**63
FLOAT = r"^[+-]?\d+(\.0+|(\.\d+)?[eE]\+?\d+)$"
NUMBER = r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
MOSTLY = 0.9
"""Share of a column's values that must look like numbers for one of them to be an oddly written number."""


def id_warnings(values: pl.Series) -> tuple[str, ...]:
    """What to warn of in a column that is proposed as a token, one line each."""
    present = values.drop_nulls()
    if present.dtype.is_float():
        finite = present.filter(present.is_finite())
        if finite.is_empty() or not bool((finite == finite.floor()).all()):
            return ()
        lines = [
            f"ids as floats, such as {finite[0]!r}: in text 12.0 and 12 are two ids, so write them whole everywhere"
        ]
        if bool((finite.abs() >= EXACT).any()):
            lines.append("some are beyond 2^53, where floats have become equal that were different ids: export as text")
        return tuple(lines)
    if present.dtype.is_integer() or present.dtype.is_decimal():
        high = present.max()
        return (_beyond(high),) if isinstance(high, int) and high >= _BEYOND else ()
    if present.dtype != pl.String:
        return ()
    lines = []
    floats = present.filter(present.str.contains(FLOAT))
    if len(floats) and bool(present.str.contains(NUMBER).mean() >= MOSTLY):  # type: ignore[operator]
        lines.append(
            f"ids written as floats, such as {floats[0]}: 12.0 and 12 are two ids, so write them whole everywhere"
        )
    if is_code(present):
        example = present.filter(present.str.contains(r"^[+-]?0\d"))[0]
        lines.append(
            f"leading zeros, such as {example}: kept, as the ids are text; a table that holds them as numbers has lost "
            "them and will not match"
        )
    digits = present.filter(present.str.contains(r"^\+?\d{19,}$"))
    long = [text for text in digits.unique(maintain_order=True).to_list() if int(text) >= _BEYOND]
    if long:
        lines.append(_beyond(long[0]))
    return tuple(lines)


def _beyond(example: object) -> str:
    return f"whole numbers beyond 2^63, such as {example}: kept, as the ids are text; other programs may round them"
