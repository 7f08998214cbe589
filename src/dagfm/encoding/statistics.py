"""Target statistics: what the clicks on a value were in training rows, as numbers or as cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from dagfm.encoding.bins import Bins
from dagfm.encoding.rows import Float32, Indices, Int32
from dagfm.encoding.scale import Scale
from dagfm.encoding.tables import read_table
from dagfm.encoding.values import Float64
from dagfm.files import replacing
from dagfm.schema import FIRST


def smoothed(clicks: Float64, rows: Float64, prior: float | Float64, smoothing: float) -> Float64:
    """The log-odds of the smoothed click rate and the log count, (n, 2), of values with so many clicks and rows.

    The rate is (clicks + smoothing * prior) / (rows + smoothing), kept off 0 and 1 by one millionth; the count is
    ln(1 + rows).
    """
    total = rows + smoothing
    rate = np.where(total > 0, (clicks + smoothing * prior) / np.where(total > 0, total, 1.0), prior)
    rate = np.clip(rate, 1e-6, 1.0 - 1e-6)
    return np.stack([np.log(rate / (1.0 - rate)), np.log1p(rows)], axis=1)


@dataclass(frozen=True)
class Grid:
    """Cells of click rate and count: bins of the rate, powers of two of the count."""

    rates: Bins
    counts: int
    """Steps of the count: from 0 rows on, each twice the one before; the last holds all above."""

    @property
    def rows(self) -> int:
        """Rows of the field: one a cell, and *unknown* and *missing* (never used)."""
        return FIRST + (len(self.rates.edges) + 1) * self.counts

    def encode(self, values: Float64) -> Int32:
        """Row ids (n,) of ``smoothed`` values (n, 2)."""
        steps = np.floor(values[:, 1] / np.log(2.0) + 1e-9).astype(np.int64)
        cells = (self.rates.encode(values[:, 0]) - FIRST) * self.counts + np.minimum(steps, self.counts - 1)
        ids: Int32 = (FIRST + cells).astype(np.int32)
        return ids


@dataclass(frozen=True, eq=False)
class Statistics:
    """Clicks and rows of every row id of the value (or cross) that the statistic is of, over all training rows."""

    clicks: Float64
    """(rows of the source,)."""
    rows: Float64
    """(rows of the source,); 0 for *unknown*: what is never seen, or too rare, has the prior alone."""
    prior: float
    """Click rate of the training rows."""
    smoothing: float
    form: Scale | Grid
    """What becomes of the two numbers: standardised, or a cell."""

    def values(self, ids: Indices) -> Float64:
        """``smoothed`` values (n, 2) of source ids (n,): what every row but a training row has."""
        return smoothed(self.clicks[ids], self.rows[ids], self.prior, self.smoothing)

    def encode(self, ids: Indices) -> Int32 | Float32:
        """The field's encoding of source ids (n,): row ids (n,), or numbers (n, 2)."""
        return encoded(self.form, self.values(ids))

    def write(self, path: Path) -> None:
        """Write the table as Parquet with the columns ``clicks`` and ``rows``."""
        with replacing(path) as temporary:
            pl.DataFrame({"clicks": self.clicks, "rows": self.rows}).write_parquet(temporary)

    @staticmethod
    def read(path: Path) -> tuple[Float64, Float64]:
        """Clicks and rows that ``write`` wrote; raises InputError naming the file."""
        table = read_table(path, {"clicks": pl.Float64, "rows": pl.Float64}, "a target statistic")
        clicks: Float64 = table["clicks"].to_numpy().astype(np.float64)
        rows: Float64 = table["rows"].to_numpy().astype(np.float64)
        return clicks, rows


def encoded(form: Scale | Grid, values: Float64) -> Int32 | Float32:
    """``smoothed`` values (n, 2) as the field holds them."""
    return form.encode(values) if isinstance(form, Grid) else form.apply(values)
