"""From the label column to clicks and no clicks."""

from __future__ import annotations

import numpy as np
import polars as pl

from dagfm.config.models import LabelConfig
from dagfm.encoding.rows import Float32, Int64
from dagfm.encoding.values import BadValueError, numbers, token_text
from dagfm.errors import InputError, listed, suggestion

SHOWN = 5
"""How many of the label's values a message shows."""


def labels(frame: pl.DataFrame, label: LabelConfig, origin: str) -> tuple[Int64, Float32]:
    """The rows that are kept, ascending (k,), and their labels 0 or 1, (k,) float32.

    Raises InputError for an absent column, values other than 0 and 1 where no ``positive_from`` says what a click is,
    and where only one class is left; BadValueError for a row without a label.
    """
    if label.column not in frame.columns:
        near = suggestion(label.column, frame.columns)
        raise InputError(
            f"{origin}: label column '{label.column}' is missing; columns found: {listed(frame.columns)}.{near}"
        )
    series = frame[label.column]
    if series.dtype.is_nested():
        raise InputError(f"{origin}: label '{label.column}' holds {series.dtype}, expected one value a row")
    texts = token_text(series)
    if texts.drop_nulls().str.to_lowercase().is_in(["true", "false"]).all():
        series = (texts.str.to_lowercase() == "true").alias(label.column)
    two_valued = label.positive_from is None
    try:
        values = numbers(series, origin)
    except BadValueError as error:
        if two_valued and error.problem.endswith("expected a number"):
            raise InputError(_not_two_valued(label.column, texts, origin)) from None
        raise
    empty = np.flatnonzero(np.isnan(values))
    if empty.size:
        raise BadValueError(origin, int(empty[0]), f"label '{label.column}' is empty, expected a value")
    kept = np.flatnonzero(~np.isin(values, label.drop))
    values = values[kept]
    if two_valued and not np.isin(values, (0.0, 1.0)).all():
        raise InputError(_not_two_valued(label.column, texts[kept], origin))
    clicks = values == 1.0 if label.positive_from is None else values >= label.positive_from
    check_classes(clicks.astype(np.float32), f"{origin}: label '{label.column}'")
    return kept, clicks.astype(np.float32)


def check_classes(clicks: Float32, what: str) -> None:
    """Raise InputError where ``clicks`` (n,) are not of two classes: nothing can be learned or measured there."""
    if not clicks.size:
        raise InputError(f"{what}: no rows are left")
    if (clicks == clicks[0]).all():
        raise InputError(f"{what}: all {len(clicks)} rows are {int(clicks[0])}, expected both 0 and 1")


def _not_two_valued(column: str, texts: pl.Series, origin: str) -> str:
    values = texts.drop_nulls().unique(maintain_order=True)
    more = ", ..." if len(values) > SHOWN else ""
    return (
        f"{origin}: label '{column}' holds {listed(values.head(SHOWN))}{more}; expected 0 and 1. "
        "Set data.label.positive_from to the number from which a value is a click"
    )
