"""Numbers as categories: quantile bins learned on training rows, and the published logarithmic ones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagfm.encoding.rows import Int32
from dagfm.encoding.values import Float64, numbers
from dagfm.schema import FIRST, MISSING


@dataclass(frozen=True)
class Bins:
    """Bin ``b`` holds the values from ``edges[b - 1]`` up to, but not at, ``edges[b]``; its row is ``b + 2``."""

    edges: tuple[float, ...]
    """Ascending, all different."""

    @classmethod
    def fit(cls, ordered: Float64, count: int) -> Bins:
        """At most ``count`` bins with equally many of the ``ordered`` (n,) training values, ascending, without NaN.

        Values that are equal share a bin, so a frequent value leaves fewer, larger bins.
        """
        if not len(ordered):
            return cls(())
        positions = np.arange(1, count) * len(ordered) // count
        edges = np.unique(np.asarray(ordered)[positions])
        return cls(tuple(float(edge) for edge in edges if edge > ordered[0]))

    @property
    def rows(self) -> int:
        """Rows of the field: one a bin, and *unknown* (never used) and *missing*."""
        return FIRST + len(self.edges) + 1

    def encode(self, values: Float64) -> Int32:
        """Row ids (n,) int32 of ``values`` (n,); *missing* where NaN."""
        ids = FIRST + np.searchsorted(np.array(self.edges), values, side="right")
        return np.where(np.isnan(values), MISSING, ids).astype(np.int32)


def log_squared_text(series: pl.Series, origin: str) -> pl.Series:
    """The text of floor(ln(x)^2) for x above 2, of x rounded down otherwise; null where missing.

    As published for Criteo (the challenge's winners; also FuxiCTR). Raises BadValueError as ``numbers`` does.
    """
    values = numbers(series, origin)
    with np.errstate(divide="ignore", invalid="ignore"):
        buckets = np.floor(np.where(values > 2, np.log(values) ** 2, values))
    text = [None if np.isnan(bucket) else f"{bucket:.0f}" for bucket in buckets.tolist()]
    return pl.Series(series.name, text, dtype=pl.String)
