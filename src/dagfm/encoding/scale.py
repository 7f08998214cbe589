"""Float fields: their cells as vectors, and the scale that standardises them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from dagfm.encoding.rows import Float32
from dagfm.encoding.sequences import flat, lists_of
from dagfm.encoding.values import BadValueError, Float64, numbers
from dagfm.schema import Field

_FARTHEST = 1e4
"""Standard deviations from the mean at which a value is cut off. None of n training values lies beyond sqrt(n - 1), so
up to 10^8 rows training never meets it; further out, a product of several values would not be finite in float32."""


@dataclass(frozen=True)
class Scale:
    """Mean and standard deviation of each component over the training values that are there."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    """1 where all values are equal, or none is there."""

    @classmethod
    def fit(cls, vectors: Float64) -> Scale:
        """The scale of ``vectors`` (n, width), NaN where missing."""
        pairs = [_mean_and_std(component[~np.isnan(component)]) for component in vectors.T]
        return cls(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))

    def apply(self, vectors: Float64) -> Float32:
        """``vectors`` (n, width) standardised; NaN stays, and so far outliers do not: 1e30 is 10,000."""
        with np.errstate(over="ignore"):
            scaled = (vectors - np.array(self.mean)) / np.array(self.std)
        narrow: Float32 = np.clip(scaled, -_FARTHEST, _FARTHEST).astype(np.float32)
        return narrow


def vectors_of(series: pl.Series, field: Field, origin: str) -> Float64:
    """Cells of a float or float_seq column as (n, width) float64, NaN where missing.

    Raises BadValueError naming the row for text that is no number, infinity, or another count of numbers than ``size``.
    """
    if field.type == "float":
        return numbers(series, origin)[:, None]
    lists = lists_of(series, field.separator, origin)
    sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
    wrong = np.flatnonzero((sizes != field.width) & (sizes != 0))
    if wrong.size:
        row = int(wrong[0])
        raise BadValueError(origin, row, f"column '{field.name}' holds {sizes[row]} numbers, expected {field.width}")
    rows = np.flatnonzero(sizes)
    vectors = np.full((len(sizes), field.width), np.nan)
    try:
        values = numbers(flat(lists), origin)
    except BadValueError as error:
        raise BadValueError(origin, int(rows[error.row // field.width]), error.problem) from None
    vectors[rows] = values.reshape(-1, field.width)
    return vectors


def _mean_and_std(values: Float64) -> tuple[float, float]:
    """Computed on values divided by the largest, so that no sum overflows and equal values have exactly std 0."""
    if not values.size or not (largest := float(np.abs(values).max())):
        return 0.0, 1.0
    relative = values / largest
    return float(relative.mean() * largest), float(relative.std() * largest) or 1.0
