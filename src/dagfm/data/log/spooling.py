"""Rows that a Python program has, as a Parquet file: from there on they are a click log like others."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dagfm.data.log.kinds import told_kind
from dagfm.data.log.log import of_size
from dagfm.data.log.parquet import ROW_GROUP, WRITING
from dagfm.encoding.frames import to_frame
from dagfm.errors import InputError, listed
from dagfm.files import digest

_SLICE = 1 << 18


def spool(rows: Any, store: Path, name: str) -> Path:
    """Write ``rows`` below ``store``, as a file called ``name``, in bounded memory; equal rows are written once.

    ``rows``: whatever ``to_frame`` takes, a RecordBatchReader, or an iterable of such tables, which must agree in
    their columns. Raises InputError naming ``name`` and the table for anything else, and where there are no rows.
    """
    folder = store / "converted"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".spool-", suffix=".tmp") as unfinished:
        file = Path(unfinished) / f"{name}.parquet"
        if not _write(_tables(rows, name), file, name):
            raise InputError(f"{name}: no rows")
        final = folder / f"rows-{digest(file)[:16]}" / file.name
        final.parent.mkdir(exist_ok=True)
        if not final.exists():
            file.replace(final)
    return final


def _write(tables: Iterator[pa.Table], file: Path, name: str) -> int:
    first = next(tables, None)
    if first is None:
        return 0
    rows = 0
    with pq.ParquetWriter(file, first.schema, **WRITING) as writer:
        for table in of_size(_agreeing(chain([first], tables), name), ROW_GROUP):
            writer.write_table(table)
            rows += len(table)
    return rows


def _agreeing(tables: Iterator[pa.Table], name: str) -> Iterator[pa.Table]:
    schema: pa.Schema | None = None
    for number, table in enumerate(tables, 1):
        schema = schema or table.schema
        if set(table.column_names) != set(schema.names):
            raise InputError(
                f"{name}: table {number} has the columns {listed(table.column_names)}; "
                f"expected {listed(schema.names)}, as in the first"
            )
        if table.schema != schema:
            table = _cast(table.select(schema.names), schema, f"{name}: table {number}")  # noqa: PLW2901
        yield table


def _cast(table: pa.Table, schema: pa.Schema, where: str) -> pa.Table:
    for field in schema:
        kind = table.schema.field(field.name).type
        try:
            table[field.name].cast(field.type)
        except pa.ArrowException:
            raise InputError(
                f"{where}: column '{field.name}' is {told_kind(kind)}, but {told_kind(field.type)} in the first"
            ) from None
    return table.cast(schema)


def _tables(rows: Any, name: str) -> Iterator[pa.Table]:
    if isinstance(rows, pa.RecordBatchReader):
        return (pa.Table.from_batches([batch]) for batch in rows)
    several = isinstance(rows, Iterable) and not isinstance(rows, Mapping | str | bytes | pa.Table | pa.RecordBatch)
    if several and isinstance(rows, Sequence):
        several = bool(rows) and isinstance(rows[0], pl.DataFrame | pa.Table | pa.RecordBatch)
    if several and not isinstance(rows, pl.DataFrame) and not hasattr(rows, "columns"):
        return (table for number, item in enumerate(rows, 1) for table in _sliced(item, f"{name}: table {number}"))
    return _sliced(rows, name)


def _sliced(rows: Any, origin: str) -> Iterator[pa.Table]:
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, pa.Table):
        yield rows
        return
    frame = to_frame(rows, origin)
    for start in range(0, frame.height, _SLICE):
        yield frame[start : start + _SLICE].to_arrow(compat_level=pl.CompatLevel.oldest())
