"""The type of a column as a field, from its dtype and its values, with the reason in words."""

from __future__ import annotations

import math

import polars as pl

from dagfm.data.infer.names import vocabulary, words
from dagfm.data.infer.proposal import Column, LeftOut
from dagfm.data.infer.text import is_code, recurring_separator
from dagfm.schema import FieldType

FEW = 1000
"""So many distinct whole numbers at most are taken for categories, whatever their name."""
LENGTH_QUANTILE = 0.95
AMOUNTS = vocabulary(
    """
    amount count counts cnt num number price cost bid revenue budget size length duration distance score views total
    quantity qty weight height width income balance salary
    """
)


def propose(values: pl.Series, known: FieldType | None) -> Column | LeftOut:
    """The field that a column should be; ``known`` is the type that the file's own header gives it.

    ``values`` holds at least one non-null. Columns of structs, bytes and the like are left out.
    """
    name, present = values.name, values.drop_nulls()
    if known is not None:
        return _as_the_header_says(name, present, known)
    if isinstance(present.dtype, pl.List | pl.Array):
        return _list(name, present)
    if present.dtype.is_numeric():
        return _whole_numbers(name, present) if present.dtype.is_integer() else _floats(name, present.cast(pl.Float64))
    if present.dtype == pl.Boolean:
        return Column(name, "token", "true or false")
    if present.dtype in (pl.String, pl.Categorical, pl.Enum):
        return _text(name, present.cast(pl.String))
    return LeftOut(name, f"holds {present.dtype}, which no field type reads")


def _as_the_header_says(name: str, present: pl.Series, known: FieldType) -> Column:
    if known in ("token_seq", "float_seq"):
        lists = present if present.dtype == pl.List else present.cast(pl.String).str.split(" ")
        longest = _quantile(lists.list.len())
        # The file's cells are cut already; the separator is for rows that come as text later.
        if known == "float_seq":
            return Column(name, known, "as the file's header says", separator=" ", size=longest)
        return Column(name, known, f"as the header says; {_shorter(longest)}", separator=" ", max_length=longest)
    return Column(name, known, f"as the file's header says; {_distinct(present)}")


def _list(name: str, present: pl.Series) -> Column | LeftOut:
    lists = present.cast(pl.List(present.dtype.inner))  # type: ignore[attr-defined]
    lengths = lists.list.len()
    if not lists.dtype.inner.is_float():  # type: ignore[attr-defined]
        longest = _quantile(lengths)
        return Column(name, "token_seq", f"lists; {_shorter(longest)}", max_length=longest)
    if lengths.n_unique() == 1 and lengths[0]:
        return Column(name, "float_seq", f"lists of {lengths[0]} numbers each", size=int(lengths[0]))
    return LeftOut(name, "holds lists of numbers of different lengths; a float_seq has one length", "float_seq")


def _text(name: str, present: pl.Series) -> Column:
    if is_code(present):
        return Column(name, "token", f"digits with leading zeros: a code, not an amount; {_distinct(present)}")
    separator = recurring_separator(present)
    if separator is None:
        return Column(name, "token", f"text; {_distinct(present)}")
    longest = _length(present, separator)
    pieces = present.unique().str.split(separator).explode().n_unique()
    seen = "a space" if separator == " " else f"'{separator}'"
    why = f"{seen} separates {pieces:,} recurring values; {_shorter(longest)}"
    return Column(name, "token_seq", why, separator=separator, max_length=longest)


def _whole_numbers(name: str, present: pl.Series) -> Column:
    distinct = present.n_unique()
    if distinct <= FEW:
        return Column(name, "token", f"{distinct:,} distinct whole numbers: taken for categories")
    if _is_amount(name):
        return Column(name, "float", f"{distinct:,} distinct whole numbers, and the name is an amount's")
    return Column(name, "token", f"{distinct:,} distinct whole numbers: taken for ids; an amount would be type: float")


def _floats(name: str, present: pl.Series) -> Column | LeftOut:
    finite = present.filter(present.is_finite())
    if finite.is_empty():
        return LeftOut(name, "holds no finite number", "float")
    distinct = finite.n_unique()
    if bool((finite == finite.floor()).all()) and not (distinct > FEW and _is_amount(name)):
        why = (
            "whole numbers stored as float, often ids that met a null: taken for categories; CHECK, an amount is float"
        )
        return Column(name, "token", f"{why}; {distinct:,} distinct")
    low, high = finite.sort().gather([0, -1])
    return Column(name, "float", f"numbers from {low:g} to {high:g}")


def _is_amount(name: str) -> bool:
    return not AMOUNTS.isdisjoint(words(name))


def _distinct(present: pl.Series) -> str:
    return f"{present.n_unique():,} distinct in {len(present):,} rows"


def _shorter(longest: int) -> str:
    return f"{LENGTH_QUANTILE:.0%} of the rows hold at most {longest}"


def _length(cells: pl.Series, separator: str) -> int:
    return _quantile(cells.str.strip_chars(separator).str.split(separator).list.len())


def _quantile(lengths: pl.Series) -> int:
    return max(1, math.ceil(lengths.quantile(LENGTH_QUANTILE, "higher") or 1))
