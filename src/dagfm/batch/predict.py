"""Every row of some files to its probability, in their order: into a file that a next run completes, or as lines."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa

from dagfm import __version__
from dagfm.batch.outputs import CSV, Output, Text, check_flat, output_of
from dagfm.batch.parts import Parts, parts_of
from dagfm.batch.rows import CELLS, RawRows, Scored
from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.log import identities
from dagfm.data.log.opening import Progress as Converting
from dagfm.errors import InputError
from dagfm.files import MANIFEST, digest, replacing
from dagfm.kernel.library import chosen_version
from dagfm.metrics import sigmoid
from dagfm.progress import Progress
from dagfm.serving.bundle import bundle_in
from dagfm.serving.scorer import Scorer, load

PROBABILITY = "probability"
"""The column of scores."""


@dataclass(frozen=True)
class Task:
    """What is to be scored."""

    bundle: Path
    """A bundle, or the run that holds it."""
    rows: str
    """Path, glob or folder."""
    options: FileOptions
    tables: Mapping[str, TableConfig]
    """Side tables by their key."""
    keep: tuple[str, ...]
    """Columns of the rows that come before the probability."""

    def __post_init__(self) -> None:
        if PROBABILITY in self.keep:
            raise InputError(
                f"--keep {PROBABILITY}: that is the name of the column with the scores; rename the input column"
            )


def predict_file(task: Task, output: Path, progress: Progress, converting: Converting) -> int:
    """Write the scores of all rows to ``output``, whole or not at all, in bounded memory; returns how many they are.

    Parts of it are finished beside it; the same call goes on where another one, of the same bundle, files and options,
    was cut off, and ends in the same bytes. Raises InputError for everything that is wrong with the input, and for a
    suffix that is no output's.
    """
    form, folder = output_of(output), Path(task.rows)
    if folder.is_dir() and output.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"{output}: lies in {task.rows}, whose files are all read; write elsewhere")
    scorer = load(task.bundle)
    with parts_of(output, _made_from(task)) as parts:
        rows = _opened(task, scorer, parts.folder, text=isinstance(form, Text), converting=converting)
        _finish(rows, parts, partial(_written, task, form, parts, rows.at_once), progress)
        if not len(rows.log):
            form.write(_nothing(task, rows), parts.path(0), first=True)
        with replacing(output) as temporary:
            form.join(parts.finished(), temporary)
        return len(rows.log)


def predict_lines(task: Task, progress: Progress, converting: Converting) -> Iterator[bytes]:
    """The scores of all rows as CSV, some rows at a time; raises as ``predict_file`` does, once it comes to the row."""
    scorer = load(task.bundle)
    with tempfile.TemporaryDirectory(prefix="dagfm-") as store:
        rows = _opened(task, scorer, Path(store), text=True, converting=converting)

        def lines(some: Scored) -> tuple[int, bytes]:
            return len(some.table), CSV.lines(_with_probability(task, some), first=not some.first)

        if not len(rows.log):
            yield CSV.lines(_nothing(task, rows), first=True)
        progress.start(f"scoring {task.rows}", len(rows.log))
        try:
            for count, text in rows.each(lines):
                yield text
                progress.advance(count)
        finally:
            progress.finish()


def _made_from(task: Task) -> dict[str, object]:
    """What decides the bytes of a part, in the words of a message that says what has changed."""
    files = {key: table.model_dump(mode="json") for key, table in task.tables.items()}
    return {
        "the bundle": digest(bundle_in(task.bundle) / MANIFEST),
        "the input": identities([task.rows], task.tables),
        "the options": [task.options.model_dump(mode="json"), files, task.keep],
        "dagfm": [__version__, chosen_version(), CELLS],
    }


def _opened(task: Task, scorer: Scorer, store: Path, text: bool, converting: Converting) -> RawRows:
    rows = RawRows.open(scorer, task.rows, task.options, task.tables, store, task.keep, converting, empty=True)
    if text:
        check_flat({name: rows.log.types[name] for name in task.keep})
    return rows


def _finish(rows: RawRows, parts: Parts, work: Callable[[Scored], int], progress: Progress) -> None:
    """Write the parts that are not yet there."""
    start = min(len(parts.finished()) * rows.at_once, len(rows.log))
    progress.start(f"scoring {rows.log.origin}", len(rows.log), start)
    if start:
        progress.line(f"goes on at row {start + 1:,} of {len(rows.log):,}")
    try:
        if start < len(rows.log):
            for count in rows.each(work, start):
                progress.advance(count)
    finally:
        progress.finish()


def _written(task: Task, form: Output, parts: Parts, at_once: int, some: Scored) -> int:
    """Write a part; returns its rows."""
    with replacing(parts.path(some.first // at_once)) as temporary:
        form.write(_with_probability(task, some), temporary, first=not some.first)
    return len(some.table)


def _nothing(task: Task, rows: RawRows) -> pa.Table:
    """What is written of no rows: the columns, for those who read on."""
    kept = {name: rows.log.types[name] for name in task.keep}
    return pa.schema([*kept.items(), (PROBABILITY, pa.float32())]).empty_table()


def _with_probability(task: Task, some: Scored) -> pa.Table:
    kept = some.table.select(list(task.keep))
    return kept.append_column(PROBABILITY, pa.array(sigmoid(some.logits()).astype(np.float32)))
