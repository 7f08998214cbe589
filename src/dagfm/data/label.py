"""From the label's columns to clicks, no clicks, and what a row weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.config.data import LabelConfig
from dagfm.encoding.rows import Float32
from dagfm.encoding.values import BadValueError, Float64, numbers, token_text
from dagfm.errors import InputError, listed, suggestion

SHOWN = 5
"""How many of the label's values a message shows."""


@dataclass(frozen=True)
class Labelled:
    """What the rows of a table (n) say."""

    kept: NDArray[np.bool_]
    """(n,), False where the label rule leaves the row out."""
    clicks: Float32
    """(n,), 0 or 1; of aggregated rows the click rate; NaN where a row may have no label and has none."""
    weights: Float32 | None
    """(n,), how much each row counts; None where all count alike."""


def labels(
    frame: pl.DataFrame, label: LabelConfig, origin: str, weight: str | None = None, *, unlabelled: bool = False
) -> Labelled:
    """The labels of a table, and the weights of its column ``weight``, if any; with ``unlabelled`` a row need not have
    a label where one column holds it.

    Raises InputError for an absent column and values other than 0 and 1 where no ``positive_from`` says what a click
    is; BadValueError for a row without a label, and for counts or weights that are no counts or weights.
    """
    for name in (*label.columns, *([weight] if weight is not None else [])):
        _check_column(frame, name, origin, "weight" if name == weight else "label")
    weights = None if weight is None else _amounts(frame[weight], "weight", origin)
    if label.column is not None:
        kept, clicks = _of_one_column(frame[label.column], label, origin, unlabelled)
    else:
        shown = _amounts(frame[str(label.impressions)], "impressions", origin)
        counted = _amounts(frame[str(label.clicks)], "clicks", origin)
        if (more := np.flatnonzero(counted > shown)).size:
            row = int(more[0])
            raise BadValueError(
                origin, row, f"'{label.clicks}' is {counted[row]:g}, more than '{label.impressions}' {shown[row]:g}"
            )
        kept = shown > 0
        clicks = (counted / np.where(kept, shown, 1.0)).astype(np.float32)
        weights = shown if weights is None else shown * weights
    narrow = None if weights is None else weights.astype(np.float32)
    return Labelled(kept, clicks, narrow)


def check_classes(lowest: float, highest: float, rows: int, what: str) -> None:
    """Raise InputError where ``rows`` rows with labels from ``lowest`` to ``highest`` are not of two classes: nothing
    can be learned or measured there."""
    if not rows:
        raise InputError(f"{what}: no rows are left")
    if highest <= 0.0 or lowest >= 1.0:
        raise InputError(f"{what}: all {rows} rows are {int(lowest)}, expected both 0 and 1")


def _check_column(frame: pl.DataFrame, name: str, origin: str, role: str) -> None:
    if name not in frame.columns:
        near = suggestion(name, frame.columns)
        raise InputError(f"{origin}: {role} column '{name}' is missing; columns found: {listed(frame.columns)}.{near}")
    if frame[name].dtype.is_nested():
        raise InputError(f"{origin}: {role} '{name}' holds {frame[name].dtype}, expected one value a row")


def _of_one_column(
    series: pl.Series, label: LabelConfig, origin: str, unlabelled: bool
) -> tuple[NDArray[np.bool_], Float32]:
    texts = token_text(series)
    if texts.drop_nulls().str.to_lowercase().is_in(["true", "false"]).all():
        series = (texts.str.to_lowercase() == "true").alias(series.name)
    two_valued = label.positive_from is None
    try:
        values = numbers(series, origin)
    except BadValueError as error:
        if two_valued and error.problem.endswith("expected a number"):
            raise InputError(_not_two_valued(series.name, texts, origin)) from None
        raise
    empty = np.isnan(values)
    if empty.any() and not unlabelled:
        raise BadValueError(origin, int(np.argmax(empty)), f"label '{series.name}' is empty, expected a value")
    kept = ~np.isin(values, label.drop)
    if two_valued and not np.isin(values[kept & ~empty], (0.0, 1.0)).all():
        raise InputError(_not_two_valued(series.name, texts.filter(pl.Series(kept)), origin))
    clicked = (values == 1.0 if label.positive_from is None else values >= label.positive_from).astype(np.float32)
    clicked[empty] = np.nan
    return kept, clicked


def _amounts(series: pl.Series, what: str, origin: str) -> Float64:
    """Numbers of 0 or more, none missing."""
    values = numbers(series, origin)
    bad = np.flatnonzero(~(values >= 0))
    if bad.size:
        row = int(bad[0])
        found = "empty" if np.isnan(values[row]) else f"{values[row]:g}"
        raise BadValueError(origin, row, f"{what} '{series.name}' is {found}, expected a number of 0 or more")
    return values


def _not_two_valued(column: str, texts: pl.Series, origin: str) -> str:
    values = texts.drop_nulls().unique(maintain_order=True)
    more = ", ..." if len(values) > SHOWN else ""
    return (
        f"{origin}: label '{column}' holds {listed(values.head(SHOWN))}{more}; expected 0 and 1. "
        "Set data.label.positive_from to the number from which a value is a click"
    )
