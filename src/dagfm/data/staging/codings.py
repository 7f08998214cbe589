"""What is read once and used by several fields: a column as local codes, or as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dagfm.data.staging.plan import plain
from dagfm.encoding.rows import Int64
from dagfm.encoding.scale import vectors_of
from dagfm.encoding.sequences import items_of
from dagfm.encoding.texts import texts_of
from dagfm.encoding.values import BadValueError, Float64, numbers
from dagfm.schema import TIME_PARTS, Field, Schema

Codes = NDArray[np.unsignedinteger]


@dataclass(frozen=True)
class Coding:
    """One column turned into token texts in one way, for all fields that need just that."""

    index: int
    field: Field
    """The first of them; what they differ in (vocabulary, hash, statistic) comes later."""

    @property
    def has_items(self) -> bool:
        """Whether a cell holds several values."""
        return self.field.form == "items"


def codings_of(schema: Schema) -> dict[str, Coding]:
    """The coding of every field that has token texts; equal ones are one."""
    found: dict[object, Coding] = {}
    of_field = {}
    for field in schema:
        if field.cross is None and (field.is_categorical or field.encode == "log_squared"):
            items = (field.separator, field.max_length, field.keep) if field.form == "items" else None
            how = field.encode if field.encode in (*TIME_PARTS, "log_squared") else None
            key = (field.source, how, field.time_format, items)
            of_field[field.name] = found.setdefault(key, Coding(len(found), field))
    return of_field


def number_fields(schema: Schema) -> list[Field]:
    """The fields that are read as numbers: those that stay numbers, and those that are cut into bins."""
    return [field for field in schema if not field.is_categorical and field.encode != "log_squared"]


@dataclass(frozen=True, eq=False)
class Coded:
    """A column of a chunk as codes into its own distinct texts."""

    codes: Codes
    """(n,), or of all items (sum of lengths,); the number of texts stands for *missing*."""
    texts: pl.Series
    """Distinct or nearly so, String, null for what means *missing*."""
    lengths: Int64 | None
    """(n,) items a row, where a cell holds several."""


def coded(column: pa.ChunkedArray, coding: Coding, origin: str) -> Coded:
    """Code a column of a chunk; raises BadValueError naming the row of the chunk."""
    if coding.has_items:
        items = items_of(plain(column), coding.field, origin)
        codes, distinct = factorized(pa.chunked_array([items.texts.to_arrow()]))
        return Coded(codes, distinct, items.lengths)
    codes, distinct = factorized(column)
    try:
        return Coded(codes, texts_of(distinct.alias(coding.field.source), coding.field, origin), None)
    except BadValueError as error:
        raise BadValueError(origin, int(np.argmax(codes == error.row)), error.problem) from None


def factorized(column: pa.ChunkedArray) -> tuple[Codes, pl.Series]:
    """Codes (n,) of a column's cells, and the values that they stand for; null has the number of values as its code.

    A value may stand in the list more than once: pieces of a column bring dictionaries of their own.
    """
    codes, values, count = [], [], 0
    for piece in column.chunks:
        encoded = piece if pa.types.is_dictionary(piece.type) else _hashed(piece)
        indices = encoded.indices
        absent = indices.null_count > 0
        local = (pc.fill_null(indices, -1) if absent else indices).to_numpy(zero_copy_only=False).astype(np.int64)
        codes.append(np.where(local < 0, -1, local + count) if absent else local + count)
        values.append(pl.Series(pl.from_arrow(encoded.dictionary)))
        count += len(encoded.dictionary)
    if not codes:
        return np.zeros(0, np.uint16), pl.Series([], dtype=pl.String)
    together = codes[0] if len(codes) == 1 else np.concatenate(codes)
    together[together < 0] = count
    distinct = values[0] if len(values) == 1 else pl.concat(values, how="vertical")
    return _used(together, distinct)


def _used(codes: Int64, distinct: pl.Series) -> tuple[Codes, pl.Series]:
    """Codes and values without the values that no cell has: a dictionary may be of more rows than these."""
    held = np.zeros(len(distinct) + 1, np.bool_)
    held[codes] = True
    held[-1] = True  # null's code stays the last one
    if not held.all():
        distinct = distinct.filter(pl.Series(held[:-1]))
    places = np.cumsum(held) - 1
    narrow: Codes = places.astype(np.uint16) if len(distinct) < 1 << 16 else places.astype(np.uint32)
    return narrow[codes], distinct


def numbers_of(column: pa.ChunkedArray, field: Field, origin: str) -> Float64:
    """A column of a chunk as numbers (n, width), NaN where missing; BadValueError names the row of the chunk."""
    if field.type == "float" and pa.types.is_dictionary(column.type):
        codes, distinct = factorized(column)
        try:
            values = numbers(distinct.alias(field.source), origin)
        except BadValueError as error:
            raise BadValueError(origin, int(np.argmax(codes == error.row)), error.problem) from None
        return np.append(values, np.nan)[codes][:, None]
    return vectors_of(plain(column).alias(field.source), field, origin)


def _hashed(piece: pa.Array) -> pa.DictionaryArray:
    """NaN is no value, so that null and NaN are one."""
    if pa.types.is_floating(piece.type):
        piece = pc.if_else(pc.is_nan(piece), pa.scalar(None, piece.type), piece)
    if pa.types.is_null(piece.type):
        piece = piece.cast(pa.large_string())
    return piece.dictionary_encode()
