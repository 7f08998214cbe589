"""Scores of another model as logits: from a column of the log, from a file joined by key, from a Python function."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from dagfm.config.models import Config
from dagfm.config.scores import ScoresConfig
from dagfm.data.log import AbsentColumnError, Log, as_frame, open_log
from dagfm.data.log.sides import Side
from dagfm.encoding.rows import Float32
from dagfm.encoding.values import BadValueError, Float64, numbers
from dagfm.errors import InputError
from dagfm.progress import Progress

ScoreFunction = Callable[[pl.DataFrame], Any]
"""From raw rows, with every column of the log, to their scores (n,)."""

LEAST = 1e-7
"""Probabilities are brought to [LEAST, 1 - LEAST], a logit of 16.1 at most: one that has run into 0 or 1 would be a
distance to learn that outweighs all others."""


@dataclass(eq=False)
class Scores:
    """The scores of one configuration, for the rows of any of its logs."""

    config: ScoresConfig
    side: Side | None = None
    """The file of scores, where they are in one."""
    origin: str = ""
    """How messages call that file."""
    function: ScoreFunction | None = None
    absent: int = 0
    """Rows so far that need a score and whose key the file does not hold."""
    first_absent: str = ""
    """Where the first of them is."""

    @classmethod
    def open(
        cls, config: Config, logs: Sequence[Log], function: ScoreFunction | None, store: Path, progress: Progress
    ) -> Scores | None:
        """The scores that the teacher is, or None where it is networks; a file of scores is read, and held in memory
        as side tables are.

        Raises InputError for a file that cannot be read or has a key twice, for a column that is in none of the files,
        and for a function under the name of a column.
        """
        scores = config.scores
        if scores is None:
            return None
        if function is not None:
            for log in logs:
                if scores.scores in log.types:
                    raise InputError(
                        f"teacher.scores: '{scores.scores}' stands for the function, but {log.origin} has a column of "
                        "that name; give the function another name, or leave it out"
                    )
            return cls(scores, function=function)
        if scores.table is None or scores.key is None:
            _check(logs, [scores.scores], "teacher.scores")
            return cls(scores)
        file = open_log((scores.table.path,), scores.table.files, {}, store, progress.line)
        _check([*logs, file], scores.key, "teacher.key")
        _check([file], [scores.column], "teacher.column")
        return cls(scores, Side(file, scores.key, [scores.column]), file.origin)

    def columns(self, log: Log) -> list[str]:
        """The columns of the log that are read: the scores, what joins them, or all that the function may look at."""
        if self.function is not None:
            return log.plain_columns()
        return list(self.config.key or (self.config.scores,))

    def of(self, frame: pl.DataFrame, needed: NDArray[np.bool_], log: Log, start: int) -> Float32:
        """The logits (n,) of the rows from ``start`` on of a log, of which ``frame`` has ``columns``; ``needed`` (n,)
        says which must have one, of the others it may be NaN.

        Raises BadValueError for a row that needs a score and has none, for one that is infinite, and for a probability
        outside [0, 1]; rows whose key is absent are counted, for ``check`` to refuse.
        """
        if self.side is not None:
            keys = [_arrow(frame[name]) for name in self.side.keys]
            (joined,), found = self.side.join(keys)
            series = as_frame(pa.table({self.config.column: joined})).to_series()
            here = found.is_valid().to_numpy(zero_copy_only=False)
            missing = np.flatnonzero(needed & ~here)
            if missing.size:
                self.first_absent = self.first_absent or log.locate(start + int(missing[0]))
                self.absent += len(missing)
            needed = needed & here
        elif self.function is not None:
            series = _returned(self.function(frame.select(self.columns(log))), frame.height, self.config.scores)
        else:
            series = frame[self.config.scores]
        return logits(series, self.config.kind, needed, log.origin)

    def check(self) -> None:
        """Raise InputError where rows were left without a score because the file does not hold their key."""
        if self.absent:
            keys = ", ".join(f"'{name}'" for name in self.config.key or ())
            raise InputError(
                f"{self.origin}: {self.absent:,} rows of the log have a key ({keys}) that is not in it, the first is "
                f"{self.first_absent}; every row needs a score"
            )


def _check(logs: Sequence[Log], columns: Sequence[str], key: str) -> None:
    for log in logs:
        try:
            log.check(columns)
        except AbsentColumnError as error:
            raise InputError(f"{key}: {error}") from None


def logits(series: pl.Series, kind: Literal["logit", "probability"], needed: NDArray[np.bool_], origin: str) -> Float32:
    """The logits (n,) that scores of this kind stand for; NaN where a score is missing that is not ``needed`` (n,).

    Computed in float64: the logit of a float32 probability near 1 would lose its digits. Raises BadValueError.
    """
    values = numbers(series, origin)
    empty = needed & np.isnan(values)
    if empty.any():
        problem = f"score '{series.name}' is empty, expected a {kind}"
        raise BadValueError(origin, int(np.argmax(empty)), problem)
    if kind == "probability":
        outside = (values < 0) | (values > 1)
        if outside.any():
            row = int(np.argmax(outside))
            problem = f"score '{series.name}' is {values[row]:g}, expected a probability from 0 to 1"
            raise BadValueError(origin, row, problem)
        inside = np.clip(values, LEAST, 1 - LEAST)
        values = np.log(inside) - np.log1p(-inside)
    beyond = np.abs(values) > np.finfo(np.float32).max
    if beyond.any():
        row = int(np.argmax(beyond))
        raise BadValueError(origin, row, f"score '{series.name}' is {values[row]:g}, too large for a logit")
    return values.astype(np.float32)


def _returned(scores: Any, rows: int, name: str) -> pl.Series:
    """What the function gave for a table, as a column. Raises InputError for anything but one number a row."""
    try:
        values: Float64 = np.asarray(scores, np.float64)
    except (TypeError, ValueError):
        raise InputError(f"teacher: the function '{name}' gave {type(scores).__name__}, expected numbers") from None
    if values.shape != (rows,):
        raise InputError(
            f"teacher: the function '{name}' gave an array of shape {values.shape} for {rows} rows, expected ({rows},)"
        )
    return pl.Series(name, values)


def _arrow(series: pl.Series) -> pa.ChunkedArray:
    return pa.chunked_array([series.to_arrow(compat_level=pl.CompatLevel.oldest())])
