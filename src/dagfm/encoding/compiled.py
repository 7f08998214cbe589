"""The encoder's fast way, through the compiled kernel; what the kernel does not cover goes the other way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.columns import column
from dagfm.encoding.encoder import Encoder, Parts, check_columns, checked
from dagfm.encoding.frames import ArrowTable, to_frame
from dagfm.encoding.pandas_tables import pandas_table
from dagfm.encoding.rows import Int64, Ragged, Rows
from dagfm.encoding.values import EXACT
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.kernel.encoding import MANY, CellEncoder, Encoded, Keys, Learned, Tokens
from dagfm.kernel.tokens import TokenIndex, built
from dagfm.schema import TIME_PARTS, Field


class CompiledEncoder:
    """Encodes as ``Encoder`` does, to the same ids and numbers; thread-safe."""

    def __init__(self, encoder: Encoder, indexes: Mapping[str, TokenIndex]) -> None:
        """``indexes`` by the name of the field whose vocabulary they are of; they are made for those that lack one."""
        self.encoder, schema = encoder, encoder.schema
        known = {name: indexes.get(name) or index_of(one) for name, one in encoder.vocabularies.items()}
        own = [one for one in schema if one.cross is None]
        learned = [(one, self._learned(one, known)) for one in own]
        self._others = [one for one, found in learned if found is None]
        self._fields = [one for one, found in learned if found is not None]
        self._columns = list(dict.fromkeys(one.source for one in self._fields))
        self._sources = frozenset(one.source for one in own)
        self._cells = CellEncoder(
            [found for _, found in learned if found is not None],
            len(schema.of_form("ids")) + len(self._extra),
            sum(one.width for one in schema.of_form("numbers")),
        )
        self._keys: dict[frozenset[str], Keys] = {}
        self._direct = not encoder.crosses and not encoder.statistics and not self._others

    def encode(self, rows: pl.DataFrame | ArrowTable, origin: str = "rows", without: Collection[str] = ()) -> Rows:
        """Encode a table (n rows) as ``Encoder.encode`` does, and raise what it raises; columns that are named in
        ``without`` count as missing in every row."""
        if not isinstance(rows, pl.DataFrame) and (without or not self._fields):
            rows = to_frame(rows, origin)
        if isinstance(rows, pl.DataFrame):
            if without and (not self._direct or not rows.columns):
                rows, without = blank(rows, without), ()
            if not self._sources.difference(without).issubset(rows.columns):
                rows = checked(self.encoder.schema, rows, origin, without)
            if not self._fields:
                return self.encoder.encode(rows, origin)
            columns, height = rows.columns, rows.height
        else:
            columns, height = rows.column_names, rows.num_rows
            check_columns(self.encoder.schema, columns, origin)
        table, children = self._chosen(rows, columns, without)
        found, status = self._cells.table(table, height, children)
        if self._direct and not status.any():
            return self._rows(found)
        parts = self._parts(found, {one.name for one, failed in zip(self._fields, status, strict=True) if failed})
        known = parts.ids | parts.floats | parts.sequences
        left = [one for one in self.encoder.schema if one.cross is None and one.name not in known]
        if isinstance(rows, pl.DataFrame):
            frame = blank(rows, without)
        else:
            frame = to_frame(rows.select(list(dict.fromkeys(one.source for one in left))), origin)
        for one in left:
            self.encoder.encode_column(one, frame[one.source], origin, parts)
        return self.encoder.assembled(parts, height)

    def encode_pandas(self, rows: Any, without: frozenset[str] = frozenset()) -> Rows | None:
        """Encode a table of pandas as it lies; None where a column lacks or is none that the kernel encodes.

        ``without`` as in ``encode``.
        """
        if not self._direct or not self._fields:
            return None
        wanted = [name for name in self._columns if name not in without]
        table = pandas_table(rows, wanted)
        if table is None or not wanted:
            return None
        found, status = self._cells.table(table, table.num_rows, self._children(wanted))
        return None if status.any() else self._rows(found)

    def _children(self, names: Sequence[str | None]) -> Int64:
        """Which of these columns each field is made of; below 0 none."""
        places = {name: place for place, name in enumerate(names)}
        return np.array([places.get(one.source, -1) for one in self._fields], np.int64)

    def _chosen(
        self, rows: pl.DataFrame | ArrowTable, columns: list[str], without: Collection[str]
    ) -> tuple[pl.DataFrame | ArrowTable, Int64]:
        """A table with the columns of the fields, and which of them each field is made of; below 0 none."""
        wanted = [name for name in self._columns if name not in without]
        # A name with a zero byte in it does not leave polars: that would end the process, and anybody can send one.
        unfit = isinstance(rows, pl.DataFrame) and (pl.Object in rows.dtypes or "\0" in "".join(columns))
        if columns != wanted and (unfit or len(columns) > 2 * len(wanted)):
            rows, columns = rows.select(wanted), wanted
        return rows, self._children([None if name in without else name for name in columns])

    def encode_dicts(
        self, rows: list[Any] | dict[Any, Any], origin: str = "rows", without: frozenset[str] = frozenset()
    ) -> Rows | None:
        """Encode at most ``MANY`` rows, dicts with a key for every field, or a dict of columns that are lists of one
        length; None where they are anything else.

        Raises what ``Encoder.encode`` raises for what is no value of its field; ``without`` as in ``encode``.
        """
        count = len(rows) if isinstance(rows, list) else _length(rows)
        if not 0 < count <= MANY or not self._fields:
            return None
        try:
            found = self._cells.dicts(self._keys_without(without), rows, count)
            if found is None:
                return None
            if self._direct:
                return self._rows(found)
            parts = self._parts(found, set())
            for one in self._others:
                if one.source in without:
                    cells = [None] * count
                else:
                    cells = [row[one.source] for row in rows] if isinstance(rows, list) else rows[one.source]
                self.encoder.encode_column(one, column(one.source, cells), origin, parts)
        except (KeyError, TypeError, UnicodeEncodeError, _NotCoveredError):
            return None
        return self.encoder.assembled(parts, count)

    def _keys_without(self, names: frozenset[str]) -> Keys:
        found = self._keys.get(names)
        if found is None:
            keys = [None if one.source in names else one.source for one in self._fields]
            found = self._keys[names] = self._cells.keys(keys, _text)
        return found

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


class _NotCoveredError(Exception):
    """Cells of a type that only the plain way knows."""


def index_of(vocabulary: Vocabulary) -> TokenIndex | None:
    """The index of a vocabulary that came without; None where its tokens are too long for one."""
    memory = built(vocabulary.tokens, len(vocabulary.tokens), int(vocabulary.tokens.str.len_bytes().sum()))
    return None if memory is None else TokenIndex(memory, "the vocabulary")


def blank(frame: pl.DataFrame, names: Collection[str]) -> pl.DataFrame:
    """The table with nothing in columns of these names; a table without columns stays one."""
    return frame.with_columns(pl.lit(None).alias(name) for name in names) if names and frame.columns else frame


def _length(columns: dict[Any, Any]) -> int:
    """Of every one of the columns; 0 where one is no list, or has no name, or they differ."""
    sizes = {len(cells) if type(cells) is list and type(name) is str else 0 for name, cells in columns.items()}
    return sizes.pop() if len(sizes) == 1 else 0


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
