"""The rows that inference looks at: all of a small file, head and spread slices of a big one, never the whole."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dagfm.config.files import AS_SUFFIXES_SAY, FileOptions
from dagfm.data.infer.text import numbers_in_text
from dagfm.data.log import Log, as_frame, expand, first_rows, format_of, open_log
from dagfm.data.log.recbole import atomic_types
from dagfm.schema import FieldType

MAX_ROWS = 1_000_000
MAX_CELLS = 20_000_000  # as text about 1 GB
SLICES = 8


@dataclass(frozen=True)
class Sample:
    """Rows with typed columns, side tables joined."""

    rows: pl.DataFrame
    whole: bool
    types: dict[str, FieldType]
    """What the files' own headers say (RecBole)."""
    tables: dict[str, str]
    """Side table by key column."""


def read_sample(path: str, options: FileOptions = AS_SUFFIXES_SAY, cells: int | None = None) -> Sample:
    """Read the sample of one click log; for RecBole with the ``.user`` and ``.item`` files of the same stem.

    ``cells``: at most about so many, MAX_CELLS if not said.
    Raises InputError naming the file where one cannot be read.
    """
    rows, whole = _rows(path, options, cells)
    types = _header_types(path, options)
    tables = _tables_beside(path, rows.columns)
    for key, table in tables.items():
        theirs, _ = _rows(table, options, cells)
        new = [name for name in theirs.columns if name not in rows.columns]
        # Only the key's text is certain to agree between two files that were typed apart.
        keyed = theirs.select(pl.col(key).cast(pl.String), *new).unique(key, keep="first", maintain_order=True)
        rows = rows.with_columns(pl.col(key).cast(pl.String)).join(keyed, on=key, how="left", maintain_order="left")
        types = {**_header_types(table, options), **types}
    return Sample(rows, whole, types, tables)


def _rows(path: str, options: FileOptions, cells: int | None) -> tuple[pl.DataFrame, bool]:
    files = [place.path for place in expand((path,))]
    if format_of(files[0], options) == "parquet":
        with tempfile.TemporaryDirectory() as store:
            return _spread(open_log((path,), options, {}, Path(store)), cells)
    few, _ = first_rows(files, options, 1)
    table, whole = first_rows(files, options, _limit(few.num_columns, cells))
    # As text first: any other guess has already lost leading zeros, and may rest on a few rows.
    return pl.DataFrame([numbers_in_text(values) for values in as_frame(table).iter_columns()]), whole


def _limit(columns: int, cells: int | None) -> int:
    return max(1, min(MAX_ROWS, (MAX_CELLS if cells is None else cells) // max(1, columns)))


def _spread(rows: Log, cells: int | None) -> tuple[pl.DataFrame, bool]:
    """Half the sample from the head, half in slices over the rest: a log sorted by day or user shows more than one."""
    total, limit, columns = len(rows), _limit(len(rows.types), cells), list(rows.types)
    if total <= limit:
        return rows.frame(columns), True
    head = limit // 2
    length = (limit - head) // SLICES
    step = (total - head - length) // (SLICES - 1)  # the last slice ends with the file, up to rounding
    slices = [(0, head), *((head + step * index, length) for index in range(SLICES))]
    tables = [next(rows.batches(columns, size, start)) for start, size in slices if size]
    return pl.concat(map(as_frame, tables)), False


def _header_types(path: str, options: FileOptions) -> dict[str, FieldType]:
    """Types of a RecBole header such as ``user_id:token``; empty for other formats."""
    first = expand((path,))[0].path
    return atomic_types(first, options) if format_of(first, options) == "recbole" else {}


def _tables_beside(path: str, columns: list[str]) -> dict[str, str]:
    """The ``.user`` and ``.item`` files of a RecBole log, by their key: the first column, which the log has too."""
    if Path(path).suffix != ".inter":
        return {}
    tables = {}
    for suffix in (".user", ".item"):
        table = Path(path).with_suffix(suffix)
        if table.is_file():
            key = next(iter(atomic_types(table, AS_SUFFIXES_SAY)))
            if key in columns:
                tables[key] = str(table)
    return tables
