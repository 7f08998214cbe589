"""What a row said of every field, beside what the encoder made of it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.rows import Ragged, Rows
from dagfm.schema import MISSING, UNKNOWN, Field, Schema
from dagfm.serving.explanation.explanation import Reading, Status

LONGEST = 200
"""Characters of a text, and items of a list, that are repeated to the caller."""


def readings(schema: Schema, frame: pl.DataFrame, rows: Rows) -> Iterator[dict[str, Reading]]:
    """Of each of the table's rows, and ``rows`` are the same encoded, what it says of every field."""
    cells = {column: [shown(cell) for cell in frame[column].to_list()] for column in schema.columns}
    columns: list[list[Reading]] = []
    sequences = iter(rows.sequences)
    for field in schema:
        if field.form == "items":
            statuses = _of_items(field, next(sequences))
        elif field.form == "numbers":
            first = schema.numbers_column(field.name)
            numbers = rows.floats[:, first : first + field.width]
            statuses = ["missing" if np.isnan(vector).all() else "known" for vector in numbers]
        else:
            statuses = [_status(field, row) for row in rows.tokens[:, schema.ids_column(field.name)].tolist()]
        members = [cells[schema.named(member).source] for member in field.cross or ()]
        values = [list(one) for one in zip(*members, strict=True)] if members else cells[field.source]
        columns.append([Reading(value, status) for value, status in zip(values, statuses, strict=True)])
    for row in zip(*columns, strict=True):
        yield dict(zip(schema.names, row, strict=True))


def shown(cell: Any) -> Any:
    """A cell as JSON can hold it, None where it is missing, cut where it is long."""
    if cell is None or cell == "":
        return None
    if isinstance(cell, bool | int):
        return cell
    if isinstance(cell, float):
        return cell if math.isfinite(cell) else None if math.isnan(cell) else str(cell)
    if isinstance(cell, list):
        items = [shown(item) for item in cell[:LONGEST]]
        return [*items, "..."] if len(cell) > LONGEST else items
    text = cell.decode("utf-8", "backslashreplace") if isinstance(cell, bytes) else str(cell)
    return f"{text[:LONGEST]}..." if len(text) > LONGEST else text


def _of_items(field: Field, items: Ragged) -> list[Status]:
    # A sequence is never empty (it holds the missing row then), which reduceat relies on.
    unknown, missing = (
        np.add.reduceat(items.values == row, items.offsets[:-1], dtype=np.int64) for row in (UNKNOWN, MISSING)
    )
    found: list[Status] = []
    for strangers, empty, length in zip(unknown, missing, np.diff(items.offsets), strict=True):
        if empty == length:
            found.append("missing")
        elif field.hash is not None:
            found.append("hashed")
        else:
            found.append("unknown" if strangers == length else "partly unknown" if strangers else "known")
    return found


def _status(field: Field, row: int) -> Status:
    if row in (UNKNOWN, MISSING):
        return "unknown" if row == UNKNOWN else "missing"
    return "known" if field.hash is None else "hashed"
