"""The encoder's fast way, through the compiled kernel; what the kernel does not cover goes the other way."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from math import isnan
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.columns import column
from dagfm.encoding.encoder import Encoder, Parts, checked
from dagfm.encoding.rows import Int32, Int64, Ragged, Rows
from dagfm.encoding.values import EXACT
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.kernel.encoding import CellEncoder, Encoded, Learned, Tokens
from dagfm.kernel.tokens import TokenIndex, built
from dagfm.schema import TIME_PARTS, Field

Cells = Callable[[Mapping[str, Any]], Sequence[Any]]

MANY = 8192
"""Up to this many dicts are taken apart cell by cell; more become a table first, which bounds memory."""

_NOT_A_NUMBER = float("nan")


class CompiledEncoder:
    """Encodes as ``Encoder`` does, to the same ids and numbers; thread-safe."""

    def __init__(self, encoder: Encoder, indexes: Mapping[str, TokenIndex]) -> None:
        """``indexes`` by the name of the field whose vocabulary they are of; they are made for those that lack one."""
        self.encoder, schema = encoder, encoder.schema
        known = {name: indexes.get(name) or index_of(one) for name, one in encoder.vocabularies.items()}
        own = [one for one in schema if one.cross is None]
        learned = {one.name: self._learned(one, known) for one in own}
        self._others = [one for one in own if learned[one.name] is None]
        covered = sorted((one for one in own if learned[one.name] is not None), key=self._order)
        self._fields = covered
        self._texts = [one for one in covered if (one.form == "ids" and one.name not in encoder.bins) or one.is_target]
        self._items = [one for one in covered if one.form == "items"]
        self._numbers = covered[len(self._texts) : len(covered) - len(self._items)]
        self._columns = list(dict.fromkeys(one.source for one in covered))
        self._cells = CellEncoder(
            [one for one in map(learned.__getitem__, (field.name for field in covered)) if one is not None],
            len(schema.of_form("ids")) + len(self._extra),
            sum(one.width for one in schema.of_form("numbers")),
        )
        self._direct = not encoder.crosses and not encoder.statistics and not self._others
        self._take_texts, self._take_numbers = _taker(self._texts), _taker(self._numbers)

    def encode(self, frame: pl.DataFrame, origin: str = "rows", without: Collection[str] = ()) -> Rows:
        """Encode a table (n rows) as ``Encoder.encode`` does, and raise what it raises; columns that are named in
        ``without`` count as missing in every row."""
        if without and (not self._direct or not frame.columns):
            frame, without = blank(frame, without), ()
        frame = checked(self.encoder.schema, frame, origin, without)
        if not self._fields:
            return self.encoder.encode(frame, origin)
        table, children = self._chosen(frame, without)
        found, status = self._cells.table(table, frame.height, children)
        if self._direct and not status.any():
            return self._rows(found)
        frame = blank(frame, without)
        parts = self._parts(found, {one.name for one, failed in zip(self._fields, status, strict=True) if failed})
        for one in self.encoder.schema:
            if one.cross is None and one.name not in parts.ids | parts.floats | parts.sequences:
                self.encoder.encode_column(one, frame[one.source], origin, parts)
        return self.encoder.assembled(parts, frame.height)

    def _chosen(self, frame: pl.DataFrame, without: Collection[str]) -> tuple[pl.DataFrame, Int64]:
        """A table with the columns of the fields, and which of them each field is made of; below 0 none."""
        columns = frame.columns
        wanted = [name for name in self._columns if name not in without]
        # A name with a zero byte in it does not leave polars: that would end the process, and anybody can send one.
        unfit = pl.Object in frame.dtypes or "\0" in "".join(columns)
        if columns != wanted and (unfit or len(columns) > 2 * len(wanted)):
            frame, columns = frame.select(wanted), wanted
        places = {name: place for place, name in enumerate(columns) if name not in without}
        return frame, np.array([places.get(one.source, -1) for one in self._fields], np.int64)

    def encode_dicts(self, rows: Sequence[Any], origin: str = "rows") -> Rows | None:
        """Encode at most ``MANY`` rows, dicts with a key for every field; None where they are anything else.

        Raises what ``Encoder.encode`` raises for what is no value of its field.
        """
        if not 0 < len(rows) <= MANY or not self._fields:
            return None
        try:
            texts = self._joined([cell for row in rows for cell in self._take_texts(row)])
            numbers = self._counted([cell for row in rows for cell in self._take_numbers(row)])
            items = [self._listed(one, [row[one.source] for row in rows]) for one in self._items]
            found = self._cells.cells(len(rows), texts, numbers, items)
            if found is None:
                return None
            if self._direct:
                return self._rows(found)
            parts = self._parts(found, set())
            for one in self._others:
                series = column(one.source, [row[one.source] for row in rows])
                self.encoder.encode_column(one, series, origin, parts)
        except (KeyError, TypeError, UnicodeEncodeError, _NotCoveredError):
            return None
        return self.encoder.assembled(parts, len(rows))

    def _learned(self, one: Field, indexes: Mapping[str, TokenIndex | None]) -> Learned | None:
        """What the kernel has to know of a field; None where it cannot encode it."""
        encoder = self.encoder
        if one.encode in (*TIME_PARTS, "log_squared") or one.separator == "" or one.type == "float_seq":
            return None
        if one.name in encoder.bins:
            return Learned("bin", encoder.schema.ids_column(one.name), edges=encoder.bins[one.name].edges)
        if one.form == "numbers" and not one.is_target:
            scale = encoder.scales[one.name]
            place = encoder.schema.numbers_column(one.name)
            return Learned("number", place, mean=scale.mean[0], std=scale.std[0])
        index = None if one.hash is not None else indexes[one.vocabulary or one.name]
        if one.hash is None and index is None:
            return None
        tokens = Tokens(index, one.hash or 0, one.separator, one.max_length, one.keep == "last")
        if one.form == "items":
            return Learned("items", [field.name for field in encoder.schema.of_form("items")].index(one.name), tokens)
        return Learned("ids", self._ids_column(one), tokens)

    def _order(self, one: Field) -> int:
        return 2 if one.form == "items" else int(one.name in self.encoder.bins or self._is_number(one))

    def _is_number(self, one: Field) -> bool:
        return one.form == "numbers" and not one.is_target

    @property
    def _extra(self) -> list[str]:
        """Fields whose row ids are no column of the encoded rows: a target statistic is made of them."""
        return [one.name for one in self.encoder.schema if one.is_target and one.cross is None]

    def _ids_column(self, one: Field) -> int:
        schema = self.encoder.schema
        return (
            len(schema.of_form("ids")) + self._extra.index(one.name) if one.is_target else schema.ids_column(one.name)
        )

    def _rows(self, found: Encoded) -> Rows:
        return Rows(found.ids, found.numbers, tuple(Ragged(*one) for one in found.sequences))

    def _parts(self, found: Encoded, without: set[str]) -> Parts:
        """The columns that the kernel encoded, by their field."""
        parts, schema = Parts(), self.encoder.schema
        items = [one.name for one in schema.of_form("items")]
        for one in self._fields:
            if one.name in without:
                continue
            if one.form == "items":
                parts.sequences[one.name] = Ragged(*found.sequences[items.index(one.name)])
            elif self._is_number(one):
                place = schema.numbers_column(one.name)
                parts.floats[one.name] = found.numbers[:, place : place + 1]
            else:
                parts.ids[one.name] = found.ids[:, self._ids_column(one)]
        return parts

    def _joined(self, cells: list[Any]) -> bytes:
        try:
            return "\0".join(cells).encode()
        except TypeError:
            return "\0".join([_text(cell) for cell in cells]).encode()

    def _counted(self, cells: list[Any]) -> bytes:
        if not cells:
            return b""
        if not {int, float, type(None), np.float64, np.int64}.issuperset(map(type, cells)):
            raise _NotCoveredError
        try:
            return array("d", [_NOT_A_NUMBER if cell is None else cell for cell in cells]).tobytes()
        except OverflowError:
            raise _NotCoveredError from None

    def _listed(self, one: Field, cells: list[Any]) -> tuple[bytes, bytes | None]:
        """The texts of cells with several values, and how many each has where they are lists."""
        lists = [isinstance(cell, list | tuple) for cell in cells]
        if not any(lists) and (one.separator or all(cell is None for cell in cells)):
            return self._joined(cells), None
        if not all(found or cell is None for found, cell in zip(lists, cells, strict=True)):
            raise _NotCoveredError
        texts = [_text(value) for cell in cells if cell is not None for value in cell]
        counts: Int32 = np.array([0 if cell is None else len(cell) for cell in cells], np.int32)
        return "\0".join(texts).encode(), counts.tobytes()


class _NotCoveredError(Exception):
    """Cells of a type that only the plain way knows."""


def index_of(vocabulary: Vocabulary) -> TokenIndex | None:
    """The index of a vocabulary that came without; None where its tokens are too long for one."""
    memory = built(vocabulary.tokens, len(vocabulary.tokens), int(vocabulary.tokens.str.len_bytes().sum()))
    return None if memory is None else TokenIndex(memory, "the vocabulary")


def blank(frame: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """The table with nothing in columns of these names; a table without columns stays one."""
    return frame.with_columns(pl.lit(None).alias(name) for name in names) if names and frame.columns else frame


def _taker(fields: Sequence[Field]) -> Cells:
    """The cells of these fields in a row; raises KeyError where one lacks, TypeError where the row is no dict."""
    names = [one.source for one in fields]
    if len(names) > 1:
        return itemgetter(*names)
    return lambda row: [row[name] for name in names]


def _text(cell: Any) -> str:
    """Token text of a cell as ``token_text`` has it, "" where missing; raises for the types that it leaves alone."""
    kind = type(cell)
    if kind is str:
        return str(cell)
    if cell is None:
        return ""
    if kind is bool:
        return "true" if cell else "false"
    if kind is int or kind is np.int64:
        return str(int(cell))
    if kind is float or kind is np.float64:
        if isnan(cell):
            return ""
        return str(int(cell)) if abs(cell) < EXACT and cell == int(cell) else str(np.float64(cell))
    raise _NotCoveredError
