"""Target statistics: what the clicks on a value were in training rows, as numbers or as cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from dagfm.encoding.beta import Beta
from dagfm.encoding.rows import Float32, Indices, Int32
from dagfm.encoding.scale import Scale
from dagfm.encoding.tables import read_table
from dagfm.encoding.values import Float64
from dagfm.files import replacing
from dagfm.schema import FIRST, MISSING

_FARTHEST = 8.0
"""Log-odds from the prior's beyond which all rates share the last cell."""


NOTHING = 1e-6
"""Weighted rows that are none: what was added and taken back may leave a rounding error."""


def told(clicks: Float64, rows: Float64, prior: Beta) -> Float64:
    """The two numbers (n, 2) of values with so many clicks and rows: log-odds above the prior's, and ln(1 + rows); NaN
    where there is no row, which is *missing*."""
    seen = rows > NOTHING
    clicks, rows = np.maximum(clicks, 0.0), np.where(seen, rows, 0.0)
    return np.stack([np.where(seen, prior.log_odds(clicks, rows), np.nan), np.where(seen, np.log1p(rows), np.nan)], 1)


@dataclass(frozen=True)
class Grid:
    """Cells of click rate and count: ranges of the log-odds above the prior's, powers of two of the count.

    The ranges are the same for every log, narrow around 0 and wide far from it: ranges that were learned would tell a
    training row of its own label.
    """

    bins: int
    counts: int
    """Steps of the count: 1 row, 2 or 3, 4 to 7, ...; the last holds all above."""

    @property
    def rows(self) -> int:
        """Rows of the field: one a cell, *missing*, and *unknown* (never used)."""
        return FIRST + self.bins * self.counts

    def encode(self, values: Float64) -> Int32:
        """Row ids (n,) of ``told`` values (n, 2)."""
        missing = np.isnan(values[:, 0])
        rows = np.expm1(np.where(missing, 1.0, values[:, 1]))
        steps = np.clip(np.floor(np.log2(np.maximum(rows, 1.0)) + 1e-9), 0, self.counts - 1).astype(np.int64)
        cells = np.searchsorted(self.edges, np.where(missing, 0.0, values[:, 0]), side="right") * self.counts + steps
        return np.where(missing, MISSING, FIRST + cells).astype(np.int32)

    @cached_property
    def edges(self) -> Float64:
        """(bins - 1,) between the ranges, ascending."""
        farthest = np.arcsinh(_FARTHEST)
        return np.sinh(np.linspace(-farthest, farthest, self.bins + 1)[1:-1])


@dataclass(frozen=True, eq=False)
class Statistics:
    """Clicks and rows of every row id of the value (or cross) that the statistic is of, over all training rows."""

    clicks: Float64
    """(rows of the source,)."""
    rows: Float64
    """(rows of the source,); 0 for *unknown*: what is never seen, or too rare, is missing."""
    prior: Beta
    form: Scale | Grid
    """What becomes of the two numbers: standardised, or a cell."""

    def values(self, ids: Indices) -> Float64:
        """``told`` values (n, 2) of source ids (n,): what every row but a training row has."""
        return told(self.clicks[ids], self.rows[ids], self.prior)

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
    """``told`` values (n, 2) as the field holds them."""
    return form.encode(values) if isinstance(form, Grid) else form.apply(values)
