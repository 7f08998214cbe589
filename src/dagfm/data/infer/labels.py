"""The label: which column it is, and the rule by which its values are clicks."""

from __future__ import annotations

import polars as pl

from dagfm.data.infer.proposal import Label
from dagfm.data.infer.text import numbers_in_text
from dagfm.errors import InputError, listed, suggestion

CLICK_NAMES = ("click", "clicked", "is_click", "label", "target", "conversion", "converted", "is_conversion")
RATING_NAMES = ("rating", "ratings", "stars")
_OUTCOMES = frozenset((*CLICK_NAMES, *RATING_NAMES, "purchased", "is_purchase", "is_buy", "dwell_time", "watch_time"))
_RATING_FROM = 4.0
_NEUTRAL = 3.0


def is_outcome(name: str) -> bool:
    """Whether a column that is not the label has the name of one."""
    return name.lower() in _OUTCOMES


def find_label(rows: pl.DataFrame, name: str | None, path: str) -> Label:
    """The label's column and rule; by ``name``, else by the well-known names.

    Raises InputError listing the columns when there is no such column, none has a well-known name, or its values
    cannot be clicks.
    """
    if name is not None:
        if name not in rows.columns:
            raise InputError(
                f"{path}: no column '{name}' for the label.{suggestion(name, rows.columns)} "
                f"Columns: {listed(rows.columns)}"
            )
        return _rule(rows[name], path, "named by --label")
    for known in CLICK_NAMES:
        for column in rows.columns:
            if column.lower() == known and _two_valued(rows[column]):
                return _rule(rows[column], path, "guessed from its name and its two values")
    for known in RATING_NAMES:
        for column in rows.columns:
            if column.lower() == known and (_two_valued(rows[column]) or _is_rating(rows[column])):
                return _rule(rows[column], path, "guessed from its name and its values")
    raise InputError(f"{path}: cannot tell which column is the label; pass --label. Columns: {listed(rows.columns)}")


def positives(values: pl.Series, label: Label) -> pl.Series:
    """One boolean a row: whether it is a click by the label's rule; a missing label is none."""
    numbers = _numbers(values)
    assert numbers is not None
    return (numbers >= (1.0 if label.positive_from is None else label.positive_from)).fill_null(False)


def _rule(values: pl.Series, path: str, origin: str) -> Label:
    numbers = _numbers(values)
    if numbers is None:
        example = listed(repr(value) for value in values.drop_nulls().unique(maintain_order=True).head(3))
        raise InputError(f"{path}: label '{values.name}' holds {example}; expected 0 and 1, false and true, or numbers")
    present = numbers.drop_nulls()
    distinct = present.unique().sort().to_list()
    if len(distinct) < 2:
        only = f"only the value {distinct[0]:g}" if distinct else "no value"
        raise InputError(f"{path}: label '{values.name}' holds {only}; expected clicks and non-clicks")
    missing = len(numbers) - len(present)
    notes = (f"{missing:,} of {len(numbers):,} rows have no label, which 'dagfm fit' refuses",) if missing else ()
    if distinct == [0.0, 1.0]:
        return Label(values.name, (f"{origin}; {_share(present, 1.0)}", *notes))
    if len(distinct) == 2:
        return Label(values.name, (f"{origin}; {_share(present, distinct[1])}", *notes), distinct[1])
    if _is_rating(values):
        why = f"{origin}; ratings from {distinct[0]:g} to {distinct[-1]:g}: {_share(present, _RATING_FROM)}"
        return Label(values.name, (why, *notes), _RATING_FROM, _NEUTRAL if _NEUTRAL in distinct else None)
    start = _near_the_median(present, distinct)
    why = f"{origin}; {len(distinct):,} values from {distinct[0]:g} to {distinct[-1]:g}, so a threshold is needed"
    guess = f"CHECK: {start:g} is near the median, nothing more; {_share(present, start)}"
    return Label(values.name, (why, guess, *notes), start)


def _numbers(values: pl.Series) -> pl.Series | None:
    """The label's values as numbers, or None where they are something else."""
    values = numbers_in_text(values)
    if values.dtype == pl.String:
        lower = values.str.to_lowercase()
        if not lower.drop_nulls().is_in(["true", "false"]).all():
            return None
        return (lower == "true").cast(pl.Float64)
    if values.dtype.is_numeric() or values.dtype == pl.Boolean:
        return values.cast(pl.Float64).fill_nan(None)
    return None


def _two_valued(values: pl.Series) -> bool:
    numbers = _numbers(values)
    return numbers is not None and numbers.drop_nulls().n_unique() == 2


def _is_rating(values: pl.Series) -> bool:
    """Whether the values are stars: 1 to 5, or halves from 0.5 on, with some on both sides of four."""
    numbers = _numbers(values)
    if numbers is None:
        return False
    present = numbers.drop_nulls().unique()
    halves = bool(((present * 2) == (present * 2).floor()).all())
    return len(present) > 2 and halves and bool(present.is_between(0.5, 5).all()) and _splits(present, _RATING_FROM)


def _splits(present: pl.Series, start: float) -> bool:
    return bool((present >= start).any()) and bool((present < start).any())


def _near_the_median(present: pl.Series, distinct: list[float]) -> float:
    """The threshold whose positives come nearest to half of the rows; never the smallest value."""
    median = float(present.median())  # type: ignore[arg-type]
    above = [value for value in distinct if value > median]
    candidates = [value for value in (*[one for one in distinct if one == median], *above[:1]) if value > distinct[0]]
    return min(candidates, key=lambda start: abs(int((present >= start).sum()) / len(present) - 0.5))


def _share(present: pl.Series, start: float) -> str:
    return f"{int((present >= start).sum()) / len(present):.1%} of {len(present):,} rows are clicks"
