"""The first pass: labels, weights, times and part of every row, from the few columns that tell them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from dagfm.config.data import DataConfig
from dagfm.data.label import check_classes, labels
from dagfm.data.log import Log
from dagfm.data.mapped import blocks, created
from dagfm.data.scores import Scores
from dagfm.data.split import (
    OUT,
    PARTS,
    TRAIN,
    Parts,
    Ratios,
    check_parts,
    column_parts,
    group_parts,
    random_parts,
    time_parts,
)
from dagfm.encoding.rows import Float32
from dagfm.encoding.times import seconds
from dagfm.encoding.values import BadValueError, Float64, token_text
from dagfm.errors import InputError

Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Segment:
    """The rows of one log within the plan."""

    log: Log
    start: int
    part: int | None
    """The part that all its rows belong to, where the configuration says so."""

    @property
    def stop(self) -> int:
        """One past its last row."""
        return self.start + len(self.log)


@dataclass(frozen=True, eq=False)
class Plan:
    """What is known of every row of all files before any field is read; arrays lie in files."""

    segments: tuple[Segment, ...]
    parts: Parts
    """(n,), of all rows, those left out too."""
    clicks: Float32
    """(n,), NaN of a training row without a label."""
    weights: Float32 | None
    """(n,)."""
    times: Float64 | None
    """(n,), where the split is by time."""
    scores: Float32 | None
    """(n,) logits, where another model's scores are the teacher."""

    def __len__(self) -> int:
        return len(self.parts)

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        counts = np.zeros(OUT + 1, np.int64)
        for block in blocks(len(self)):
            counts += np.bincount(self.parts[block], minlength=OUT + 1)
        return dict(zip(PARTS, counts.tolist(), strict=False))

    def of(self, part: int, array: NDArray[np.generic], into: NDArray[np.generic]) -> None:
        """Copy the rows of one part from ``array`` (n, ...) to ``into`` (rows of the part, ...)."""
        done = 0
        for block in blocks(len(self)):
            taken = array[block][self.parts[block] == part]
            into[done : done + len(taken)] = taken
            done += len(taken)


def located(segment: Segment, start: int, error: BadValueError) -> InputError:
    """The error of a cell in a table that starts at row ``start`` of a log, told with its file and row."""
    return InputError(f"{segment.log.locate(start + error.row)}: {error.problem}")


def make_plan(
    data: DataConfig,
    logs: list[tuple[Log, int | None]],
    folder: Path,
    rows: int,
    advance: Advance,
    *,
    scores: Scores | None = None,
    trainable: bool = True,
) -> Plan:
    """Read labels, weights, scores and what the split needs, ``rows`` rows at a time, and decide on every row's part.

    Raises InputError naming file and row for a cell that cannot be used, and, where the rows are to be ``trainable``,
    for a part that is empty or of one class.
    """
    segments, total = [], 0
    for log, part in logs:
        segments.append(Segment(log, total, part))
        total += len(log)
    weighted = data.weight is not None or data.label.clicks is not None
    timed = data.split.by == "time" and any(segment.part is None for segment in segments)
    plan = Plan(
        tuple(segments),
        parts=created(folder / "parts.npy", np.uint8, (total,)),
        clicks=created(folder / "clicks.npy", np.float32, (total,)),
        weights=created(folder / "weights.npy", np.float32, (total,)) if weighted else None,
        times=created(folder / "times.npy", np.float64, (total,)) if timed else None,
        scores=created(folder / "scores.npy", np.float32, (total,)) if scores is not None else None,
    )
    for segment in plan.segments:
        _read(plan, segment, data, scores, rows, advance)
        if trainable:
            named = " and ".join(f"'{column}'" for column in data.label.columns)
            _check_classes(plan, slice(segment.start, segment.stop), None, f"{segment.log.origin}: label {named}")
    if scores is not None:
        scores.check()
    shares = _split(plan, data, folder)
    if trainable:
        check_parts(plan.sizes(), shares)
    if scores is not None:
        _add_unlabelled(plan)
    if data.negatives is not None and data.negatives.keep is not None:
        _sample(plan, data.negatives.keep, data.negatives.seed)
    if trainable:
        for part, name in enumerate(PARTS):
            _check_classes(plan, slice(0, total), part, f"the {name} part")
    return plan


def _read(plan: Plan, segment: Segment, data: DataConfig, scores: Scores | None, rows: int, advance: Advance) -> None:
    split = data.split if segment.part is None else None
    columns = [*data.label.columns]
    columns += [data.weight] if data.weight is not None else []
    columns += [split.column] if split is not None and split.column is not None else []
    columns += scores.columns(segment.log) if scores is not None else []
    for start, table in _tables(segment.log, list(dict.fromkeys(columns)), rows):
        at = slice(segment.start + start, segment.start + start + table.height)
        try:
            # Of rows without a label only training has use, and only where the teacher has scored them.
            may_lack = scores is not None and segment.part in (None, TRAIN)
            labelled = labels(table, data.label, segment.log.origin, data.weight, unlabelled=may_lack)
            plan.clicks[at] = labelled.clicks
            if plan.weights is not None and labelled.weights is not None:
                plan.weights[at] = labelled.weights
            split_later = labelled.kept & ~np.isnan(labelled.clicks)
            plan.parts[at] = np.where(split_later, segment.part or TRAIN, OUT)
            if scores is not None and plan.scores is not None:
                plan.scores[at] = scores.of(table, labelled.kept, segment.log, start)
            if split is not None and split.column is not None:
                _place(plan, at, table[split.column], data, segment.log.origin)
        except BadValueError as error:
            raise located(segment, start, error) from None
        advance(table.height)


def _tables(log: Log, columns: list[str], rows: int) -> Iterator[tuple[int, pl.DataFrame]]:
    start = 0
    for table in log.batches(columns, rows):
        frame = pl.DataFrame({name: plain(table[name]) for name in columns})
        yield start, frame
        start += frame.height


def plain(column: pa.ChunkedArray) -> pl.Series:
    """An Arrow column as polars', dictionaries decoded."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    series = pl.from_arrow(column)
    assert isinstance(series, pl.Series)
    return series


def _place(plan: Plan, at: slice, column: pl.Series, data: DataConfig, origin: str) -> None:
    """What the split's column says of some rows; by time, only the times for now."""
    split = data.split
    if split.by == "time":
        assert plan.times is not None, "made where the split is by time"
        times = seconds(column, split.time_format, origin)
        missing = np.flatnonzero(np.isnan(times) & (plan.parts[at] != OUT))
        if missing.size:
            raise BadValueError(origin, int(missing[0]), f"column '{column.name}' is empty, expected the row's time")
        plan.times[at] = times
        return
    texts = token_text(column)
    found = group_parts(texts, ratios_of(data), split.seed) if split.by == "group" else None
    if found is None:
        found = column_parts(texts, split.values, origin)
    parts = plan.parts[at]
    parts[parts != OUT] = found[parts != OUT]


def ratios_of(data: DataConfig) -> Ratios:
    """The shares of what is to be split: without test where its files are given."""
    train, valid, test = data.split.ratios
    return (train, valid, test) if data.test is None else (train / (train + valid), valid / (train + valid), 0.0)


def _split(plan: Plan, data: DataConfig, folder: Path) -> Ratios | None:
    """Divide the rows that no file name has placed; the shares that were asked for, if any."""
    free = next((segment for segment in plan.segments if segment.part is None), None)
    ratios = ratios_of(data)
    if free is not None and data.split.by in ("random", "time"):
        at = slice(free.start, free.stop)
        kept = int(np.count_nonzero(plan.parts[at] != OUT))
        found = created(folder / "found.npy", np.uint8, (kept,))
        if plan.times is None:
            random_parts(found, created(folder / "order.npy", np.int32, (kept,)), ratios, data.split.seed)
        else:
            times = created(folder / "kept-times.npy", np.float64, (kept,))
            done = 0
            for block in blocks(len(plan.parts[at])):
                taken = plan.times[at][block][plan.parts[at][block] != OUT]
                times[done : done + len(taken)] = taken
                done += len(taken)
            room = created(folder / "order.npy", np.float64, (kept,))
            time_parts(found, times, room, ratios, data.split.gap)
        done = 0
        for block in blocks(len(plan.parts[at])):
            parts = plan.parts[at][block]
            here = parts != OUT
            count = int(np.count_nonzero(here))
            parts[here] = found[done : done + count]
            done += count
        for name in ("found", "order", "kept-times"):
            (folder / f"{name}.npy").unlink(missing_ok=True)
    return ratios if free is not None and data.split.by != "column" and data.test is None else None


def _add_unlabelled(plan: Plan) -> None:
    """Make the rows without a label training rows, once the others are split as if these were not there."""
    for block in blocks(len(plan)):
        plan.parts[block][np.isnan(plan.clicks[block])] = TRAIN


def _check_classes(plan: Plan, at: slice, part: int | None, what: str) -> None:
    """Raise InputError where the rows ``at`` of one part, or of all parts, are not of two classes."""
    lowest, highest, count = np.inf, -np.inf, 0
    for block in blocks(at.stop - at.start):
        here = plan.parts[at][block] == part if part is not None else plan.parts[at][block] != OUT
        here &= ~np.isnan(plan.clicks[at][block])
        if plan.weights is not None:
            here &= plan.weights[at][block] > 0
        if here.any():
            clicks = plan.clicks[at][block][here]
            lowest, highest = min(lowest, float(clicks.min())), max(highest, float(clicks.max()))
            count += len(clicks)
    check_classes(lowest, highest, count, what)


def _sample(plan: Plan, keep: float, seed: int) -> None:
    """Leave out training rows without a click, each with chance 1 - ``keep``."""
    random = np.random.default_rng([seed, TRAIN])
    for block in blocks(len(plan)):
        negative = (plan.parts[block] == TRAIN) & (plan.clicks[block] == 0)
        lost = np.flatnonzero(negative)[random.random(int(negative.sum())) >= keep]
        plan.parts[block][lost] = OUT
