"""Figures of the numbers and of the lengths in a column: exact sums and extremes, quantiles of a sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.rows import Int64
from dagfm.encoding.values import Float64

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Figures:
    """What is known of the numbers seen so far."""

    def __init__(self) -> None:
        self.count = self.nan = self.infinite = self.unreadable = self.zero = 0
        self.example: str | None = None
        """A text that is no number."""
        self._sum = 0.0
        self._low, self._high = np.inf, -np.inf
        self._integral = True

    def add(self, values: Float64) -> None:
        """Add numbers (n,); NaN stands for none."""
        finite = values[np.isfinite(values)]
        self.infinite += int(np.isinf(values).sum())
        if finite.size:
            self.count += finite.size
            self.zero += int((finite == 0).sum())
            self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
            with np.errstate(over="ignore"):
                self._sum += float(finite.sum())
            self._integral = self._integral and bool((finite == np.floor(finite)).all())

    def described(self, sample: Float64) -> dict[str, Any]:
        """All figures; quantiles are those of ``sample`` (n,)."""
        finite = sample[np.isfinite(sample)]
        quantiles = np.quantile(finite, QUANTILES, method="lower").tolist() if finite.size else []
        mean = self._sum / self.count if self.count else None
        return {
            "count": self.count,
            "min": self._low if self.count else None,
            "mean": mean if mean is not None and np.isfinite(mean) else None,
            "max": self._high if self.count else None,
            "quantiles": {f"{share:g}": value for share, value in zip(QUANTILES, quantiles, strict=bool(quantiles))},
            "of": int(finite.size),
            "zero": self.zero,
            "whole": self._integral if self.count else None,
            "nan": self.nan,
            "infinite": self.infinite,
            "unreadable": self.unreadable,
            "example": self.example,
        }


class Lengths:
    """How many items the cells hold."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, lengths: Int64) -> None:
        """Add lengths (n,)."""
        for length, count in zip(*np.unique(lengths, return_counts=True), strict=True):
            self._counts[int(length)] = self._counts.get(int(length), 0) + int(count)

    def described(self) -> dict[str, Any]:
        """Exact: lengths are few."""
        lengths = np.array(sorted(self._counts), np.int64)
        counts = np.array([self._counts[length] for length in lengths.tolist()], np.int64)
        if not counts.sum():
            return {"min": None, "mean": None, "max": None, "quantiles": {}, "empty": 0}
        ends = np.cumsum(counts)
        at = [int(lengths[np.searchsorted(ends, np.floor(share * (ends[-1] - 1)) + 1)]) for share in QUANTILES]
        return {
            "min": int(lengths[0]),
            "mean": float(lengths @ counts / ends[-1]),
            "max": int(lengths[-1]),
            "quantiles": {f"{share:g}": value for share, value in zip(QUANTILES, at, strict=True)},
            "empty": self._counts.get(0, 0),
        }


def lenient_numbers(series: pl.Series, figures: Figures) -> Float64:
    """The numbers of cells (n,) float64, NaN where there is none; what is none although it is there is counted."""
    if series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null):
        values = series.cast(pl.Float64)
        figures.nan += int(values.is_nan().sum() or 0) if series.dtype.is_float() else 0
    else:
        text = series.cast(pl.String).str.strip_chars()
        text = text.set(text == "", None)
        values = text.cast(pl.Float64, strict=False)
        bad = values.is_null() & text.is_not_null()
        if bad.any():
            figures.unreadable += int(bad.sum())
            figures.example = figures.example or series.filter(bad)[0]
    array: Float64 = values.fill_null(np.nan).to_numpy()
    return array
