"""The rows that inference looks at: all of a small file, head and spread slices of a big one, never the whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from dagfm.data.infer.text import numbers_in_text
from dagfm.data.read import scan
from dagfm.schema import FieldType

MAX_ROWS = 1_000_000
MAX_CELLS = 20_000_000  # as text about 1 GB
SLICES = 8

_RECBOLE = (".inter", ".user", ".item")


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
    """Read the sample of one click log; for RecBole with the ``.user`` and ``.item`` files of the same stem."""
    types = _header_types(path)
    rows, whole = _rows(path)
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
    columns = scan((path,), None, set()).collect_schema().names()
    limit = max(1, min(MAX_ROWS, MAX_CELLS // max(1, len(columns))))
    if Path(path).suffix in (".parquet", ".pq"):
        return _spread(scan((path,), None, set()), limit)
    # As text first: the reader's own guess has already lost leading zeros, and may rest on a few rows.
    rows = scan((path,), None, set(columns)).head(limit + 1).collect()
    whole = len(rows) <= limit
    return rows.head(limit).select(numbers_in_text(values) for values in rows.head(limit).iter_columns()), whole


def _spread(frame: pl.LazyFrame, limit: int) -> tuple[pl.DataFrame, bool]:
    """Half the sample from the head, half in slices over the rest: a log sorted by day or user shows more than one."""
    total = frame.select(pl.len()).collect().item()
    if total <= limit:
        return frame.collect(), True
    head = limit // 2
    length = (limit - head) // SLICES
    step = (total - head) // SLICES
    slices = [frame.slice(head + step * index, length) for index in range(SLICES)]
    return pl.concat([frame.head(head), *slices]).collect(), False


def _header_types(path: str) -> dict[str, FieldType]:
    """Types of a RecBole header such as ``user_id:token``; empty for other formats."""
    if Path(path).suffix not in _RECBOLE:
        return {}
    with Path(path).open(encoding="utf-8") as file:
        cells = file.readline().rstrip("\r\n").split("\t")
    known: dict[str, FieldType] = {}
    for cell in cells:
        name, _, kind = cell.rpartition(":")
        match kind:
            case "token" | "token_seq" | "float" | "float_seq":
                known[name] = kind
    return known


def _tables_beside(path: str, columns: list[str]) -> dict[str, str]:
    if Path(path).suffix != ".inter":
        return {}
    tables = {}
    for suffix in (".user", ".item"):
        table = Path(path).with_suffix(suffix)
        if table.is_file():
            key = scan((str(table),), None, set()).collect_schema().names()[0]
            if key in columns:
                tables[key] = str(table)
    return tables
