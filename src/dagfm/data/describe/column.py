"""One field, chunk after chunk: its cells as values, numbers and lengths."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from dagfm.data.describe.figures import Figures, Lengths, lenient_numbers
from dagfm.data.describe.rows import Rows
from dagfm.data.describe.spelling import Spelling
from dagfm.data.describe.values import Values
from dagfm.data.staging.codings import factorized
from dagfm.data.staging.plan import plain
from dagfm.encoding.sequences import flat, items_of, lists_of
from dagfm.encoding.texts import texts_of
from dagfm.encoding.values import BadValueError, Float64
from dagfm.schema import TIME_PARTS, Field

Reading = Literal["ids", "items", "number", "vector"]
BLOCK = 1 << 13
"""Rows of lists that are looked at together: a list may hold a million."""


class Described:
    """What is learned of one field.

    ``kinds`` are the stored types of its column, one a log; ``shares``: its values are compared with other fields'.
    """

    def __init__(self, field: Field, kinds: list[pa.DataType], *, shares: bool = False) -> None:
        self.field, self.kinds = field, kinds
        self.reading: Reading = "ids"
        if field.type in ("token_seq", "float", "float_seq"):
            readings: dict[str, Reading] = {"token_seq": "items", "float": "number", "float_seq": "vector"}
            self.reading = readings[field.type]
        self.values = None if self.reading == "vector" else Values()
        self.figures = Figures() if self.reading in ("number", "vector") else None
        self.lengths = Lengths() if self.reading in ("items", "vector") else None
        written = field.encode not in TIME_PARTS and all(map(_may_hold_text, kinds))
        self.spelling = Spelling() if self.reading in ("ids", "items") and written else None
        self.whole = all(map(pa.types.is_signed_integer, kinds)) and field.encode not in TIME_PARTS and not shares
        """Whether cells are compared as whole numbers, not as text."""
        self._sample: list[tuple[Float64, Rows]] = []

    def add(self, column: pa.ChunkedArray, rows: Rows, sampled: NDArray[np.bool_], origin: str) -> None:
        """Add a chunk's cells; ``sampled`` (n,) says which are kept. Raises BadValueError naming the row."""
        if self.reading in ("items", "vector"):
            for start in range(0, len(column), BLOCK):
                block = slice(start, start + BLOCK)
                some = rows.take(np.arange(len(rows))[block])
                try:
                    self._add_lists(column.slice(start, BLOCK), some, sampled[block], origin)
                except BadValueError as error:
                    raise BadValueError(origin, start + error.row, error.problem) from None
        elif self.reading == "number":
            self._add_numbers(column, rows, sampled)
        else:
            self._add_ids(column, rows, sampled, origin)

    def numbers(self) -> tuple[Float64, Rows]:
        """Numbers of the sampled rows (n,), NaN where missing, and the row of each."""
        if self.reading == "number" and self.values is not None:
            kept, rows = self.values.sample()
            return kept.cast(pl.Float64).fill_null(np.nan).to_numpy(), rows
        cells = [values for values, _ in self._sample]
        return np.concatenate([np.zeros(0), *cells]), Rows.joined([rows for _, rows in self._sample])

    def _add_ids(self, column: pa.ChunkedArray, rows: Rows, sampled: NDArray[np.bool_], origin: str) -> None:
        assert self.values is not None
        which = np.flatnonzero(sampled)
        if self.whole and not self.values.sketch.exact:
            # Whole numbers are hashed as they are, which spares writing each as text.
            cells = plain(column).cast(pl.Int64)
            self.values.add_plain(cells, rows)
            self.values.add_sample(cells.gather(which), rows.take(which))
            return
        codes, distinct = factorized(column)
        if self.whole:
            texts = distinct.cast(pl.Int64)
        else:
            try:
                texts = texts_of(distinct.alias(self.field.source), self.field, origin)
            except BadValueError as error:
                raise BadValueError(origin, int(np.argmax(codes == error.row)), error.problem) from None
        new = self.values.add_coded(codes, texts, rows)
        if self.spelling is not None:
            self.spelling.add(new)
        self.values.add_sample(_gathered(texts, codes[which]), rows.take(which))

    def _add_numbers(self, column: pa.ChunkedArray, rows: Rows, sampled: NDArray[np.bool_]) -> None:
        assert self.values is not None and self.figures is not None
        which = np.flatnonzero(sampled)
        if pa.types.is_dictionary(column.type):
            codes, distinct = factorized(column)
            seen = Figures()
            told = lenient_numbers(distinct, seen)
            numbers = np.append(told, np.nan)[codes]
            if seen.unreadable:
                lenient_numbers(distinct.gather(np.minimum(codes, len(distinct) - 1)), self.figures)
        else:
            numbers = lenient_numbers(plain(column), self.figures)
        self.figures.add(numbers)
        cells = pl.Series(numbers + 0.0, nan_to_null=True)  # minus zero is zero
        if self.values.sketch.exact:
            codes, distinct = factorized(pa.chunked_array([cells.to_arrow()]))
            self.values.add_coded(codes, distinct, rows)
        else:
            self.values.add_plain(cells, rows)
        self.values.add_sample(cells.gather(which), rows.take(which))

    def _add_lists(self, column: pa.ChunkedArray, rows: Rows, sampled: NDArray[np.bool_], origin: str) -> None:
        assert self.lengths is not None
        if self.figures is not None:
            lists = lists_of(plain(column).alias(self.field.source), self.field.separator, origin)
            lengths = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
            numbers = lenient_numbers(flat(lists), self.figures)
            self.figures.add(numbers)
            which = np.repeat(sampled, lengths)
            self._sample.append((numbers[which], rows.repeated(lengths).take(which)))
        else:
            assert self.values is not None
            whole = self.field.model_copy(update={"max_length": None})
            items = items_of(plain(column).alias(self.field.source), whole, origin)
            lengths = items.lengths
            of_items = rows.repeated(lengths)
            codes, distinct = factorized(pa.chunked_array([items.texts.to_arrow()]))
            new = self.values.add_coded(codes, distinct, of_items)
            if self.spelling is not None:
                self.spelling.add(new)
            which = np.repeat(sampled, lengths)
            self.values.add_sample(_gathered(distinct, codes[which]), of_items.take(which))
            empty = lengths == 0
            if empty.any():
                none = np.zeros(int(empty.sum()), np.int64)
                self.values.missing += rows.take(empty).sums(none, 1)[0]
        self.lengths.add(lengths)


def _may_hold_text(kind: pa.DataType) -> bool:
    """Whether cells may be spelled in more than one way."""
    if pa.types.is_large_list(kind) or pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind):
        return _may_hold_text(kind.value_type)
    if pa.types.is_dictionary(kind):
        return _may_hold_text(kind.value_type)
    texts = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return bool(texts or pa.types.is_unsigned_integer(kind) or pa.types.is_decimal(kind))


def _gathered(values: pl.Series, codes: NDArray[np.integer]) -> pl.Series:
    """The value of each code (n,); null for a code past the end."""
    outside = codes >= len(values)
    if not len(values):
        return pl.Series([None] * len(codes), dtype=values.dtype)
    found = values.gather(np.where(outside, 0, codes).astype(np.int64))
    return found.set(pl.Series(outside), None) if outside.any() else found
