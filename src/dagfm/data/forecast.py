"""What a preparation, and the training after it, will take: told before it starts, refused where it cannot fit."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from dagfm.config.models import Config
from dagfm.data.inputs import Inputs
from dagfm.data.staging.codings import codings_of, factorized, number_fields
from dagfm.errors import InputError
from dagfm.progress import size_text
from dagfm.schema import FIRST, Field

CELLS_PER_SECOND = 15e6
"""Cells that two cores prepare in a second, about (benchmarks/preparation.py)."""
_SAMPLE = 1 << 16
_ITEMS = 4
"""Values that a cell of a token_seq is taken to hold where no max_length says so."""


@dataclass(frozen=True)
class Forecast:
    """Rough figures, from the number of rows and the first of them."""

    rows: int
    columns: int
    seconds: float
    disk: int
    """Bytes at the worst moment: chunks and finished arrays together."""
    table_rows: int
    """Rows of the embedding table, extrapolated from the first rows."""
    table: int
    """Bytes of the embedding table in training: weights, gradient, two moments of the optimizer, the best so far."""
    memory: int
    """Bytes that preparation may hold."""

    def told(self) -> str:
        """One line for the user."""
        return (
            f"{self.rows:,} rows x {self.columns} columns: about {_seconds(self.seconds)}, "
            f"{size_text(self.disk)} on disk, {size_text(self.memory)} of memory; embedding about "
            f"{self.table_rows:,} rows, {size_text(self.table)} with its optimizer in training"
        )


def forecast(config: Config, inputs: Inputs, memory: int) -> Forecast:
    """Estimate from the number of rows and a sample of the first ones."""
    schema = config.schema_
    rows = sum(len(log) for log, _ in inputs.logs)
    codings = {coding.index: coding for coding in codings_of(schema).values()}
    staged = sum(4 * (_ITEMS if coding.has_items else 1) for coding in codings.values())
    staged += 8 * sum(field.width for field in number_fields(schema))
    items = sum((field.max_length or _ITEMS) * 4 + 8 for field in schema.of_form("items"))
    numbers = sum(field.width for field in schema.of_form("numbers"))
    final = 4 * len(schema.of_form("ids")) + 4 * numbers + items + 8
    table_rows = _table_rows(config, inputs)
    return Forecast(
        rows,
        len(schema.columns),
        rows * max(1, len(schema.columns)) / CELLS_PER_SECOND,
        rows * (staged + final + 16 + (8 if config.scores is not None else 0)),
        table_rows,
        table_rows * config.embedding.size * 4 * 5,
        memory,
    )


def check_room(coming: Forecast, store: Path) -> None:
    """Raise InputError where the disk has not the room, or the machine not the memory for the embedding table."""
    free = shutil.disk_usage(store).free
    if coming.disk > free:
        raise InputError(
            f"{store}: preparing {coming.rows:,} rows takes about {size_text(coming.disk)}, {size_text(free)} are "
            "free; make room ('dagfm data clean' lists what older runs left), or keep fewer columns"
        )
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    if there is not None and coming.table > there:
        raise InputError(
            f"the embedding table and its optimizer would take about {size_text(coming.table)} for "
            f"{coming.table_rows:,} rows, this machine has {size_text(there)}; give fields with many values "
            "'min_count', 'max_size' or 'hash', or set a smaller embedding.size"
        )


def _table_rows(config: Config, inputs: Inputs) -> int:
    schema = config.schema_
    log, _ = inputs.logs[0]
    rows = sum(len(one) for one, _ in inputs.logs)
    plain = [field for field in schema if field.has_vocabulary and field.form == "ids" and not field.encode]
    total = FIRST * len(schema)
    for table in log.batches([field.source for field in plain], _SAMPLE):
        total += sum(_distinct(table[field.source], field, rows) for field in plain)
        break
    return total + sum(field.hash or 0 for field in schema)


def _distinct(column: pa.ChunkedArray, field: Field, rows: int) -> int:
    """How many values ``rows`` rows hold, from the first of them: those seen twice or more count once, those seen once
    grow as the square root of the rows (the GEE estimator of Charikar et al., PODS 2000)."""
    codes, values = factorized(column)
    seen = np.bincount(codes, minlength=len(values) + 1)[: len(values)]
    once, more = int(np.count_nonzero(seen == 1)), int(np.count_nonzero(seen > 1))
    if field.min_count > 1:
        once = 0
    estimate = int(more + once * (rows / max(len(codes), 1)) ** 0.5)
    return min(estimate, field.max_size or estimate)


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
