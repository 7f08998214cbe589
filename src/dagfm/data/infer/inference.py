"""The inference over a whole click log, column by column."""

from __future__ import annotations

import polars as pl

from dagfm.config.models import AS_SUFFIXES_SAY, FileOptions
from dagfm.data.infer.labels import find_label, is_outcome, positives
from dagfm.data.infer.leaks import gives_label_away
from dagfm.data.infer.proposal import Column, LeftOut, Proposal
from dagfm.data.infer.sample import Sample, read_sample
from dagfm.data.infer.sides import suggested_side
from dagfm.data.infer.times import is_time
from dagfm.data.infer.types import propose
from dagfm.errors import InputError

ENOUGH_TO_CALL_UNIQUE = 50  # fewer rows are often all different by chance


def infer(path: str, label: str | None = None, options: FileOptions = AS_SUFFIXES_SAY) -> Proposal:
    """Propose a configuration for the click log at ``path``.

    ``label`` names the label's column; without it a well-known name is looked for. ``options`` say how the file is
    read. Raises InputError when there are no
    rows, no usable label, or no column left to learn from.
    """
    sample = read_sample(path, options)
    if sample.rows.is_empty():
        raise InputError(f"{path}: no rows; expected a header and at least one row")
    found = find_label(sample.rows, label, path)
    clicks = positives(sample.rows[found.column], found)
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    for values in sample.rows.iter_columns():
        if values.name == found.column:
            continue
        decided = _decide(values, clicks, sample)
        if isinstance(decided, Column):
            columns.append(decided)
        else:
            left_out.append(decided)
    if not columns:
        reasons = "; ".join(f"'{one.name}' {one.why}" for one in left_out) or "the label is the only column"
        raise InputError(f"{path}: no column left to learn from: {reasons}")
    sides = {column.name: side for column in columns if (side := suggested_side(column.name))}
    return Proposal(
        len(sample.rows), sample.whole, found, tuple(columns), tuple(left_out), sample.tables, sides, options
    )


def _decide(values: pl.Series, clicks: pl.Series, sample: Sample) -> Column | LeftOut:
    if reason := _unfit(values, clicks):
        return LeftOut(values.name, reason)
    proposed = propose(values, sample.types.get(values.name))
    if isinstance(proposed, LeftOut) or values.dtype.is_nested():
        return proposed
    present = values.drop_nulls()
    distinct = present.n_unique()
    if distinct == 1 and len(present) == len(values):
        return LeftOut(values.name, f"is constant: {str(present[0])[:40]!r} in every row")
    if proposed.type == "token" and distinct == len(present) and distinct >= ENOUGH_TO_CALL_UNIQUE:
        return LeftOut(values.name, "is different in every row, a row's own identifier: nothing to learn from it")
    return proposed


def _unfit(values: pl.Series, clicks: pl.Series) -> str | None:
    """Why a column cannot be a field whatever its type would be, or None."""
    if not values.name.strip():
        return "has no name"
    if values.null_count() == len(values):
        return "is empty in every row"
    if is_outcome(values.name):
        return "sounds like another outcome, known only after the click"
    if leak := gives_label_away(values, clicks):
        return leak
    if is_time(values):
        return "is a point in time; its hour and weekday become fields in a later version"
    return None
