"""The inference over a whole click log, column by column."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from dagfm.config.files import AS_SUFFIXES_SAY, FileOptions
from dagfm.data.infer.ids import id_warnings
from dagfm.data.infer.labels import find_label, is_outcome, positives
from dagfm.data.infer.leaks import gives_label_away
from dagfm.data.infer.proposal import Column, LeftOut, Proposal, TimeColumn
from dagfm.data.infer.sample import Sample, read_sample
from dagfm.data.infer.sides import suggested_side
from dagfm.data.infer.times import is_time, proposed_parts, time_column
from dagfm.data.infer.types import propose
from dagfm.errors import InputError
from dagfm.schema import FieldType

ENOUGH_TO_CALL_UNIQUE = 50  # fewer rows are often all different by chance


def infer(path: str, label: str | None = None, options: FileOptions = AS_SUFFIXES_SAY) -> Proposal:
    """Propose a configuration for the click log at ``path``.

    ``label`` names the label's column; without it a well-known name is looked for. ``options`` say how the file is
    read. Raises InputError when there are no rows, no usable label, or no column left to learn from.
    """
    proposal = inspect(path, label, options)
    if not proposal.columns:
        reasons = "; ".join(f"'{one.name}' {one.why}" for one in proposal.left_out) or "the label is the only column"
        raise InputError(f"{path}: no column left to learn from: {reasons}")
    return proposal


def inspect(
    path: str, label: str | None = None, options: FileOptions = AS_SUFFIXES_SAY, cells: int | None = None
) -> Proposal:
    """As ``infer``, but content with a log of which nothing is left to learn from; ``cells``: of a smaller sample."""
    sample = read_sample(path, options, cells)
    if sample.rows.is_empty():
        raise InputError(f"{path}: no rows; expected a header and at least one row")
    found = find_label(sample.rows, label, path)
    clicks = positives(sample.rows[found.column], found)
    columns: list[Column] = []
    left_out: list[LeftOut] = []
    times: list[TimeColumn] = []
    taken = set(sample.rows.columns)
    for values in sample.rows.iter_columns():
        if values.name == found.column:
            continue
        parts, time = _time_parts(values, clicks, taken)
        if time is not None:
            times.append(time)
        for decided in parts or [_decide(values, clicks, sample)]:
            if isinstance(decided, Column):
                columns.append(decided)
            else:
                left_out.append(decided)
    sides = {column.name: side for column in columns if (side := suggested_side(column.name))}
    time = times[0] if times else None
    return Proposal(
        len(sample.rows), sample.whole, found, tuple(columns), tuple(left_out), sample.tables, sides, options, time
    )


def _time_parts(
    values: pl.Series, clicks: pl.Series, taken: set[str]
) -> tuple[list[Column | LeftOut], TimeColumn | None]:
    """The fields of a column of points in time, and how it is read; nothing for other columns."""
    if _unfit(values, clicks) or not is_time(values):
        return [], None
    time = time_column(values)
    return proposed_parts(values, time, taken), time


def _decide(values: pl.Series, clicks: pl.Series, sample: Sample) -> Column | LeftOut:
    known = sample.types.get(values.name)
    if reason := _unfit(values, clicks):
        return LeftOut(values.name, reason, _type(values, known))
    proposed = propose(values, known)
    if isinstance(proposed, LeftOut) or values.dtype.is_nested():
        return proposed
    present = values.drop_nulls()
    distinct = present.n_unique()
    if distinct == 1 and len(present) == len(values):
        return LeftOut(values.name, f"is constant: {str(present[0])[:40]!r} in every row", proposed.type)
    if proposed.type == "token" and distinct == len(present) and distinct >= ENOUGH_TO_CALL_UNIQUE:
        why = "is different in every row, a row's own identifier: nothing to learn from it"
        return LeftOut(values.name, why, proposed.type)
    warnings = id_warnings(values) if proposed.type == "token" else ()
    return replace(proposed, warnings=warnings) if warnings else proposed


def _type(values: pl.Series, known: FieldType | None) -> FieldType | None:
    """What a column that is left out could be read as."""
    if not values.name.strip():
        return None
    if values.null_count() == len(values):
        return "token" if not values.dtype.is_nested() else None
    proposed = propose(values, known)
    return proposed.type


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
    return None
