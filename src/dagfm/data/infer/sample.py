"""The rows that inference looks at: all of a small file, head and spread slices of a big one, never the whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dagfm.data.formats import SUFFIXES
from dagfm.data.infer.text import numbers_in_text
from dagfm.data.read import collect, expand, scan
from dagfm.data.text import check_header
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


def read_sample(path: str) -> Sample:
    """Read the sample of one click log; for RecBole with the ``.user`` and ``.item`` files of the same stem.

    Raises InputError naming the file where one cannot be read.
    """
    rows, whole = _rows(path)
    types = _header_types(path)
    tables = _tables_beside(path, rows.columns)
    for key, table in tables.items():
        theirs, _ = _rows(table)
        new = [name for name in theirs.columns if name not in rows.columns]
        # Only the key's text is certain to agree between two files that were typed apart.
        keyed = theirs.select(pl.col(key).cast(pl.String), *new).unique(key, keep="first", maintain_order=True)
        rows = rows.with_columns(pl.col(key).cast(pl.String)).join(keyed, on=key, how="left", maintain_order="left")
        types = {**_header_types(table), **types}
    return Sample(rows, whole, types, tables)


def _rows(path: str) -> tuple[pl.DataFrame, bool]:
    frame = scan((path,))
    columns = frame.collect_schema().names()
    limit = max(1, min(MAX_ROWS, MAX_CELLS // max(1, len(columns))))
    if _format(path) == "parquet":
        return _spread(frame, limit, path)
    # As text first: the reader's own guess has already lost leading zeros, and may rest on a few rows.
    rows = collect(scan((path,), text=set(columns)).head(limit + 1), path)
    head = rows.head(limit)
    return head.select(numbers_in_text(values) for values in head.iter_columns()), len(rows) <= limit


def _spread(frame: pl.LazyFrame, limit: int, path: str) -> tuple[pl.DataFrame, bool]:
    """Half the sample from the head, half in slices over the rest: a log sorted by day or user shows more than one."""
    total = collect(frame.select(pl.len()), path).item()
    if total <= limit:
        return collect(frame, path), True
    head = limit // 2
    length = (limit - head) // SLICES
    step = (total - head - length) // (SLICES - 1)  # the last slice ends with the file, up to rounding
    slices = [frame.slice(head + step * index, length) for index in range(SLICES)]
    return collect(pl.concat([frame.head(head), *slices]), path), False


def _format(path: str) -> str | None:
    return SUFFIXES.get(Path(path).suffix.lower())


def _header_types(path: str) -> dict[str, FieldType]:
    """Types of a RecBole header such as ``user_id:token``; empty for other formats."""
    if _format(path) != "recbole":
        return {}
    known: dict[str, FieldType] = {}
    for header in check_header(expand((path,))[0], "\t", None):
        name, _, kind = header.rpartition(":")
        match kind:
            case "token" | "token_seq" | "float" | "float_seq":
                known[name] = kind
    return known


def _tables_beside(path: str, columns: list[str]) -> dict[str, str]:
    """The ``.user`` and ``.item`` files of a RecBole log, by their key: the first column, which the log has too."""
    if Path(path).suffix != ".inter":
        return {}
    tables = {}
    for suffix in (".user", ".item"):
        table = Path(path).with_suffix(suffix)
        if table.is_file():
            key = scan((str(table),)).collect_schema().names()[0]
            if key in columns:
                tables[key] = str(table)
    return tables
