"""Over the log twice: once for every field alone, once for those that are looked at together."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dagfm.data.describe.column import Described
from dagfm.data.describe.combinations import Combination, pairs_worth_a_look, row_keys
from dagfm.data.describe.rows import Rows, scattered
from dagfm.data.describe.sketch import Sketch
from dagfm.data.describe.subject import Subject, Time
from dagfm.data.infer.sides import suggested_side
from dagfm.data.inputs import open_inputs
from dagfm.data.split import OUT
from dagfm.data.staging.plan import Plan, Segment, located, make_plan, plain
from dagfm.encoding.times import seconds
from dagfm.encoding.values import BadValueError, Float64
from dagfm.progress import Progress

CHUNK = 1 << 17
"""Rows that are looked at together."""
CHUNK_CELLS = 8_000_000
"""Fewer rows where they have very many columns."""
SAMPLE = 1 << 17
"""Rows, about, of which every cell is kept: all of a smaller log."""
WORKERS = 2


@dataclass(frozen=True, eq=False)
class Times:
    """When the sampled rows happened."""

    values: Float64
    """(n,), as rows are ordered by them."""
    rows: Rows


@dataclass(frozen=True, eq=False)
class Seen:
    """All that two passes have learned."""

    plan: Plan
    rows: dict[str, int]
    """Of each part."""
    fields: list[Described]
    combinations: list[Combination]
    unmatched: dict[str, int]
    times: Times | None
    sampled: bool
    """Whether some figures are a sample's."""


@contextmanager
def look(subject: Subject, progress: Progress) -> Iterator[Seen]:
    """Read everything, in bounded memory; what is yielded lives until the context ends, with its files.

    Raises InputError naming file and row for what cannot be read, and for a label that is none.
    """
    store = subject.home / ".dagfm"
    made = not store.exists()
    store.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="describe-", dir=store) as folder:
            yield _Look(subject, Path(folder), progress).seen()
    finally:
        progress.finish()
        if made and not any(store.iterdir()):
            store.rmdir()


@dataclass
class _Look:
    subject: Subject
    folder: Path
    progress: Progress
    chunk: int = 0
    times: list[tuple[Float64, Rows]] = field(default_factory=list)

    def seen(self) -> Seen:
        config, progress = self.subject.config, self.progress
        inputs = open_inputs(config, self.folder.parent, progress)
        total = sum(len(log) for log, _ in inputs.logs)
        columns = max(1, len(config.schema_.columns))
        self.chunk = max(1, min(CHUNK, CHUNK_CELLS // columns))
        progress.start("reading labels", total)
        whole = config.data.model_copy(update={"negatives": None})  # the log as it is, not as training samples it
        plan = make_plan(whole, inputs.logs, self.folder, self.chunk, progress.advance, trainable=False)
        sizes = plan.sizes()
        sharing = {name for one in config.fields if one.vocabulary for name in (one.name, one.vocabulary)}
        fields = [
            Described(one, [log.types[one.source] for log, _ in inputs.logs], shares=one.name in sharing)
            for one in config.fields
            if one.cross is None
        ]
        progress.start("describing", total)
        self._fields(plan, fields)
        # Asked for only now: a log has counted them once it has been read.
        unmatched = inputs.unmatched()
        combinations = self._combinations(plan, fields, sum(sizes.values()))
        if combinations:
            progress.start("pairs", total)
            self._together(plan, fields, combinations)
        times = None
        if self.times:
            rows = Rows.joined([one for _, one in self.times])
            times = Times(np.concatenate([values for values, _ in self.times]), rows)
        return Seen(plan, sizes, fields, combinations, unmatched, times, total > SAMPLE)

    def _fields(self, plan: Plan, fields: list[Described]) -> None:
        columns = list(dict.fromkeys(one.field.source for one in fields))
        time = self.subject.time
        if time is not None:
            columns = list(dict.fromkeys([*columns, time.column]))
        with ThreadPoolExecutor(WORKERS) as pool:
            for segment, start, table, rows, places in self._chunks(plan, columns):
                sampled = _sampled(rows, len(plan))
                origin = segment.log.origin
                try:
                    running = [pool.submit(one.add, table[one.field.source], rows, sampled, origin) for one in fields]
                    if time is not None:
                        self._time(table[time.column], rows, sampled, time, origin)
                    for one in running:
                        one.result()
                except BadValueError as error:
                    raise located(segment, start, _moved(error, places)) from None

    def _time(self, column: pa.ChunkedArray, rows: Rows, sampled: NDArray[np.bool_], time: Time, origin: str) -> None:
        values = seconds(plain(column).alias(time.column), time.format, origin)
        here = sampled & ~np.isnan(values)
        self.times.append((values[here], rows.take(here)))

    def _combinations(self, plan: Plan, fields: list[Described], rows: int) -> list[Combination]:
        configured = [
            Combination(one.name, one.cross, Sketch(), configured=True)
            for one in self.subject.config.fields
            if one.cross is not None
        ]
        if self.subject.config.data.label.clicks is not None:
            return configured  # a row of them has no label, but a rate
        asked = tuple(name for name in (_first_of(fields, side) for side in ("context", "candidate")) if name)
        pairs = pairs_worth_a_look(fields, rows, asked)
        return [*configured, *(Combination(" x ".join(pair), pair, Sketch()) for pair in pairs)]

    def _together(self, plan: Plan, fields: list[Described], combinations: list[Combination]) -> None:
        members = {name for one in combinations for name in one.members}
        chosen = [one for one in fields if one.field.name in members]
        columns = list(dict.fromkeys(one.field.source for one in chosen))
        with ThreadPoolExecutor(WORKERS) as pool:
            for segment, _, table, rows, _ in self._chunks(plan, columns):
                origin = segment.log.origin
                hashed = pool.map(lambda one, t=table, o=origin: row_keys(one, t[one.field.source], o), chosen)
                keys = dict(zip((one.field.name for one in chosen), hashed, strict=True))
                alone = Rows(rows.numbers, rows.parts, rows.clicks, None)
                list(pool.map(lambda one, k=keys, r=alone: one.add(k, r), combinations))

    def _chunks(
        self, plan: Plan, columns: list[str]
    ) -> Iterator[tuple[Segment, int, pa.Table, Rows, NDArray[np.int64] | None]]:
        """Chunks of rows that are not left out: segment, first row, cells, rows, and which of the chunk they are.

        The next chunk is read while one is looked at.
        """
        with ThreadPoolExecutor(1) as reader:
            for segment in plan.segments:
                tables = iter(segment.log.batches(columns, self.chunk))
                coming = reader.submit(next, tables, None)
                start = 0
                while (table := coming.result()) is not None:
                    coming = reader.submit(next, tables, None)
                    size = len(table)
                    first = segment.start + start
                    at = slice(first, first + size)
                    parts = plan.parts[at]
                    numbers = np.arange(first, first + size)
                    weights = None if plan.weights is None else plan.weights[at]
                    rows, places = Rows(numbers, parts, plan.clicks[at], weights), None
                    if (parts == OUT).any():
                        kept = parts != OUT
                        table, rows, places = table.filter(pa.array(kept)), rows.take(kept), np.flatnonzero(kept)
                    if len(rows):
                        yield segment, start, table, rows, places
                    self.progress.advance(size)
                    start += size


def _sampled(rows: Rows, total: int) -> NDArray[np.bool_]:
    """Which rows every cell is kept of: about SAMPLE of ``total``, by their numbers alone."""
    if total <= SAMPLE:
        return np.ones(len(rows), bool)
    # Another constant than the halves', which the highest bit of the same numbers decides.
    chance = scattered(rows.numbers.astype(np.uint64) ^ np.uint64(0x5851F42D4C957F2D))
    return chance <= np.uint64(SAMPLE / total * (2.0**64 - 1025))


def _moved(error: BadValueError, places: NDArray[np.int64] | None) -> BadValueError:
    if places is None:
        return error
    return BadValueError("", int(places[error.row]), error.problem)


def _first_of(fields: list[Described], side: str) -> str | None:
    """The id of a side with the most values, by the configuration, else by its name."""
    found = []
    for one in fields:
        suggested = suggested_side(one.field.name)
        named = one.field.side or (suggested[0] if suggested is not None else None)
        if named == side and one.reading == "ids" and one.values is not None and one.field.encode is None:
            found.append((one.values.sketch.distinct, one.field.name))
    return max(found)[1] if found else None
