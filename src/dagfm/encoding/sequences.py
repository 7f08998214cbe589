"""Cells with several values: from text or lists to the items that count, and from items to ragged row ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagfm.encoding.rows import Int32, Int64, Ragged
from dagfm.encoding.values import token_text
from dagfm.errors import InputError
from dagfm.schema import MISSING, Field


@dataclass(frozen=True, eq=False)
class Items:
    """The values of a token_seq column, row after row."""

    texts: pl.Series
    """(sum of lengths,) String without null."""
    lengths: Int64
    """(n,), 0 where a row has none."""


def lists_of(series: pl.Series, separator: str | None, origin: str) -> pl.Series:
    """A column of lists: as given, or text cut at ``separator``, with the space around items removed.

    Raises InputError for text where the field has no separator.
    """
    if isinstance(series.dtype, pl.List):
        return series
    if isinstance(series.dtype, pl.Array):
        return series.arr.to_list()
    texts = token_text(series)
    if separator is None:
        if texts.null_count() == len(texts):
            return texts.cast(pl.List(pl.String))
        raise InputError(
            f"{origin}: field '{series.name}' holds single values such as {texts.drop_nulls()[0]!r}, "
            "expected lists; give lists, or set the field's 'separator'"
        )
    return texts.str.split(separator).list.eval(pl.element().str.strip_chars())


def flat(lists: pl.Series) -> pl.Series:
    """The items of all lists, one a row; null and empty lists have none."""
    return lists.filter(lists.list.len() > 0).explode()


def items_of(series: pl.Series, field: Field, origin: str) -> Items:
    """The values of a token_seq column: empty ones dropped, then at most ``max_length`` from the end that is kept."""
    lists = lists_of(series, field.separator, origin)
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    texts = token_text(flat(lists))
    present = texts.is_not_null().to_numpy()
    rows = np.repeat(np.arange(len(sizes)), sizes)[present]
    lengths = np.bincount(rows, minlength=len(sizes)).astype(np.int64)
    texts = texts.drop_nulls()
    if field.max_length is None or not len(texts) or lengths.max() <= field.max_length:
        return Items(texts, lengths)
    ends = np.cumsum(lengths)
    positions = np.arange(len(rows))
    if field.keep == "first":
        kept = positions - (ends - lengths)[rows] < field.max_length
    else:
        kept = ends[rows] - positions <= field.max_length
    return Items(texts.filter(pl.Series(kept)), np.minimum(lengths, field.max_length))


def ragged(sizes: Int64, ids: Int32) -> Ragged:
    """Row ids ``ids`` (sum of sizes,) cut into ``sizes`` (n,) a row; a row without any holds the one id *missing*."""
    lengths = np.maximum(sizes, 1)
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    values = np.full(offsets[-1], MISSING, np.int32)
    values[np.repeat(sizes > 0, lengths)] = ids
    return Ragged(offsets, values)
