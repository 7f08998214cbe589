"""The click log: all its files as one stream of rows, side tables joined, in bounded memory."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from types import MappingProxyType
from typing import Any

import polars as pl
import pyarrow as pa

from dagfm.data.log.kinds import CODED_TEXT, TEXT, as_kind
from dagfm.data.log.parquet import ParquetRows
from dagfm.data.log.sides import Side
from dagfm.errors import InputError, listed, suggestion

log = logging.getLogger(__name__)

_FRAME_BATCH = 1 << 18


class AbsentColumnError(InputError):
    """The column ``column`` is asked for and in none of the files."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


@dataclass(frozen=True)
class File:
    """One file of the user: what its rows are in, and the columns that its folders' names give."""

    path: Path
    parts: tuple[ParquetRows, ...]
    """The file itself, or what it was converted to."""
    partition: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def kinds(self) -> dict[str, pa.DataType]:
        """The columns, those of the partition last."""
        return {**self.parts[0].kinds, **dict.fromkeys(self.partition, TEXT)}

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[pa.Table]:
        """Tables of at most ``rows`` rows from row ``start`` on."""
        stored = [name for name in columns if name not in self.partition]
        for part in self.parts:
            if start < part.rows:
                for table in part.batches(stored, rows, start):
                    constant = {
                        name: _constant(self.partition[name], len(table)) for name in set(columns) - set(stored)
                    }
                    yield pa.table({name: constant[name] if name in constant else table[name] for name in columns})
            start = max(0, start - part.rows)


class Log:
    """Rows of columns by name, from files that agree, in the files' order.

    Columns are known by their kind (``pa.string()`` for text however it is stored, numbers, lists, ...); what they
    mean is the encoder's to say.
    """

    def __init__(
        self,
        origin: str,
        files: Sequence[File],
        kinds: Mapping[str, pa.DataType],
        sides: Mapping[str, Log],
        identity: Sequence[Mapping[str, Any]],
    ) -> None:
        self.origin = origin
        """How messages call the log."""
        self.identity = list(identity)
        """What tells its files, side tables' too, from other or changed ones."""
        self.unmatched: dict[str, int] = {}
        """By key: rows whose key is not in the side table, counted when all rows have been read with its columns."""
        self._files, self._kinds, self._sides = files, kinds, sides
        self._rows = sum(file.rows for file in files)
        self._read_sides: dict[str, Side] = {}

    def __len__(self) -> int:
        return self._rows

    @property
    def types(self) -> Mapping[str, pa.DataType]:
        """Every column's kind: those of the first file in its order, then the partition's and the side tables'."""
        joined = {name: kind for side in self._sides.values() for name, kind in side.types.items()}
        return MappingProxyType({**self._kinds, **{n: k for n, k in joined.items() if n not in self._kinds}})

    def cuts(self, rows: int) -> list[int]:
        """Sizes of tables of at most ``rows`` rows that together are all rows, and end where a file ends unless that
        would make small ones: a table of two files holds the dictionaries of both."""
        sizes: list[int] = []
        left = 0
        for file in self._files:
            left += file.rows
            while left >= rows:
                sizes.append(rows)
                left -= rows
            if left >= rows // 2:
                sizes.append(left)
                left = 0
        return [*sizes, left] if left else sizes

    def batches(self, columns: Sequence[str], rows: int | Sequence[int], start: int = 0) -> Iterator[pa.Table]:
        """Tables of ``rows`` rows (the last may be shorter) from row ``start`` on, in the files' order, across files;
        of several ``rows``, tables of just these sizes.

        Text is in chunks of ``dictionary<int32, string>``. Raises AbsentColumnError for a column that is nowhere, and
        InputError for one that is in two places, for a key that a side table has twice, and for a damaged file.
        """
        columns = list(dict.fromkeys(columns))
        own, joined = self._places(columns)
        sides = {key: self._side(key, names) for key, names in joined.items()}
        read = list(dict.fromkeys([*own, *joined]))
        missed = dict.fromkeys(joined, 0)
        seen = 0
        largest = rows if isinstance(rows, int) else max(rows, default=1)
        for table in of_size(self._own(read, largest, start), rows):
            found = {name: table[name] for name in read}
            for key, side in sides.items():
                taken, places = side.join([table[key]])
                found.update(zip(side.columns, taken, strict=True))
                missed[key] += places.null_count
            seen += len(table)
            yield pa.table({name: found[name] for name in columns})
        if seen == len(self):
            self._count(missed)

    def check(self, columns: Sequence[str]) -> None:
        """Raise what ``batches`` raises for columns that are nowhere, or in two places; nothing is read."""
        self._places(columns)

    def plain_columns(self) -> list[str]:
        """The columns that can be asked for: all but those that the log and a side table both have."""
        places = Counter(
            [*self._kinds, *(name for key, side in self._sides.items() for name in side.types if name != key)]
        )
        return [name for name in self.types if places[name] == 1]

    def frame(self, columns: Sequence[str]) -> pl.DataFrame:
        """All rows of some columns in memory. Raises what ``batches`` raises."""
        parts = [as_frame(table) for table in self.batches(columns, _FRAME_BATCH)]
        return pl.concat(parts, rechunk=True)

    def locate(self, row: int) -> str:
        """The file and the row within it, from 1, of a row of the log, from 0."""
        for file in self._files:
            if row < file.rows:
                return f"{file.path}: row {row + 1}"
            row -= file.rows
        raise IndexError(f"the log has {len(self)} rows")

    def _own(self, columns: list[str], rows: int, start: int) -> Iterator[pa.Table]:
        """Batches of the log's own columns, each file's cast to the kind that all files share."""
        for file in self._files:
            if start < file.rows:
                for table in file.batches(columns, rows, start):
                    yield pa.table(
                        {
                            name: as_kind(table[name], self._kinds[name], f"{file.path}: column '{name}'")
                            for name in columns
                        }
                    )
            start = max(0, start - file.rows)

    def _places(self, names: Sequence[str]) -> tuple[list[str], dict[str, list[str]]]:
        """Which columns the log itself has, and which come by which key. One that two files have is refused, not
        guessed; a key is the log's own."""
        own: list[str] = []
        joined: dict[str, list[str]] = {}
        for name in names:
            if name in self._sides:
                own.append(name)
                continue
            keys = [key for key, side in self._sides.items() if name in side.types]
            places = [self.origin] * (name in self._kinds) + [self._sides[key].origin for key in keys]
            if not places:
                tables = {self.origin: self._kinds, **{side.origin: side.types for side in self._sides.values()}}
                known = [column for table in tables.values() for column in table]
                looked = "; ".join(f"{place} has {listed(table)}" for place, table in tables.items())
                raise AbsentColumnError(
                    name, f"column '{name}' is in none of the files: {looked}.{suggestion(name, known)}"
                )
            if len(places) > 1:
                raise InputError(f"column '{name}' is in {' and in '.join(places)}; rename or remove one")
            if keys:
                joined.setdefault(keys[0], []).append(name)
            else:
                own.append(name)
        return own, joined

    def _side(self, key: str, columns: list[str]) -> Side:
        side = self._read_sides.get(key)
        if side is None or side.columns != tuple(columns):
            side = self._read_sides[key] = Side(self._sides[key], [key], columns)
        return side

    def _count(self, missed: Mapping[str, int]) -> None:
        for key, rows in missed.items():
            if key not in self.unmatched and rows:
                log.warning(
                    "%s: %d of %d rows have a '%s' that is not in it", self._sides[key].origin, rows, len(self), key
                )
            self.unmatched[key] = rows


def as_frame(table: pa.Table) -> pl.DataFrame:
    """A batch as a polars table, text as text."""
    plain = {
        name: column.cast(TEXT) if column.type == CODED_TEXT else column
        for name, column in zip(table.column_names, table.columns, strict=True)
    }
    frame = pl.from_arrow(pa.table(plain))
    assert isinstance(frame, pl.DataFrame)
    return frame


def of_size(tables: Iterator[pa.Table], rows: int | Sequence[int]) -> Iterator[pa.Table]:
    """The same rows in tables of exactly ``rows``, the last one apart; of several, of each size in turn."""
    sizes = repeat(rows) if isinstance(rows, int) else iter(rows)
    held: list[pa.Table] = []
    count, size = 0, next(sizes, 1)
    for whole in tables:
        table = whole
        while count + len(table) >= size:
            held.append(table.slice(0, size - count))
            table = table.slice(size - count)
            yield pa.concat_tables(held)
            held, count, size = [], 0, next(sizes, 1)
        if len(table):
            held.append(table)
            count += len(table)
    if held:
        yield pa.concat_tables(held)


def _constant(value: str | None, rows: int) -> pa.ChunkedArray:
    if value is None:
        return pa.chunked_array([pa.nulls(rows, CODED_TEXT)])
    codes = pa.array([0], pa.int32()).take(pa.nulls(rows, pa.int32()).fill_null(0))
    return pa.chunked_array([pa.DictionaryArray.from_arrays(codes, pa.array([value], TEXT))])
