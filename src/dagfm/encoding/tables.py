"""Tables that encoders are kept in: Parquet with known columns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from dagfm.errors import InputError


def read_table(path: Path, schema: Mapping[str, type[pl.DataType]], what: str) -> pl.DataFrame:
    """Read a table of ``what``; raises InputError naming the file when it is missing or something else."""
    try:
        table = pl.read_parquet(path, memory_map=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise InputError(f"{path}: not {what} ({error}); the file is damaged") from None
    if table.schema != dict(schema):
        raise InputError(f"{path}: not {what}: expected the columns {' and '.join(schema)}")
    if any(column.null_count() for column in table):
        raise InputError(f"{path}: not {what}: holds nulls; the file is damaged")
    return table
