"""Columns that give the label away: known only after the click, or the label in other words."""

from __future__ import annotations

import math

import polars as pl

ENOUGH_ROWS = 200  # below this a column predicts the label by chance
ENOUGH_MARKED = 50
MARKED_POSITIVE = 0.99
NEAR_PERFECT = 0.98
"""AUC of a column alone. Honest fields stay far below: a whole model seldom passes .95."""
EXACT = 1000
"""Columns with more distinct numbers are cut into quantile bins."""
BINS = 64


def gives_label_away(values: pl.Series, clicks: pl.Series) -> str | None:
    """Why this column should not be a field, or None. ``clicks`` is the label, one boolean a row."""
    if len(values) < ENOUGH_ROWS:
        return None
    if share := _marks_positives(values, clicks):
        return f"is filled almost only where the label is positive ({share:.1%}): known after the click"
    if values.dtype.is_nested():
        return None
    auc = _auc_alone(values, clicks)
    if auc >= NEAR_PERFECT:
        return f"alone predicts the label almost perfectly (AUC {auc:.3f}): it gives the answer away"
    return None


def _marks_positives(values: pl.Series, clicks: pl.Series) -> float | None:
    """Share of positives among the rows that differ from the column's usual value, where that is nearly all of them.

    The usual value is null or, for numbers, zero: a time of conversion, a purchase flag, a basket's worth.
    """
    marked = values.is_not_null()
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        marked &= (values.cast(pl.Float64) != 0).fill_null(False)
    count = int(marked.sum())
    base = int(clicks.sum()) / len(clicks)
    if count < ENOUGH_MARKED or count == len(values):
        return None
    share = int((clicks & marked).sum()) / count
    by_chance = count * math.log(base) > math.log(1e-9)  # so many positives in a row would be no surprise
    return share if share >= MARKED_POSITIVE and not by_chance else None


def _auc_alone(values: pl.Series, clicks: pl.Series) -> float:
    """AUC on odd rows of the click rate that each value has on even rows."""
    if values.dtype.is_numeric() and values.n_unique() > EXACT:
        values = (values.rank("average") / len(values) * BINS).floor()
    frame = pl.DataFrame({"value": values, "click": clicks.cast(pl.Float64)}).with_row_index()
    even = frame.filter(pl.col("index") % 2 == 0)
    odd = frame.filter(pl.col("index") % 2 == 1)
    rates = even.group_by("value").agg(pl.col("click").mean().alias("rate"))
    scored = odd.join(rates, on="value", how="left", nulls_equal=True)
    return _auc(scored["rate"].fill_null(even["click"].mean()), scored["click"])


def _auc(scores: pl.Series, clicks: pl.Series) -> float:
    positive = float(clicks.sum())
    negative = len(clicks) - positive
    if not positive or not negative:
        return 0.5
    ranks = float(scores.rank("average").filter(clicks == 1).sum())
    return (ranks - positive * (positive + 1) / 2) / (positive * negative)
