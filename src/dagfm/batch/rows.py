"""Raw rows of any readable files, scored in their order, some at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TypeVar

import pyarrow as pa

from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.log import AbsentColumnError, Log, open_log
from dagfm.data.log.opening import Progress
from dagfm.data.memory import give_back
from dagfm.data.threads import in_order
from dagfm.encoding.values import BadValueError
from dagfm.errors import InputError
from dagfm.metrics import Float64
from dagfm.serving.scorer import CHUNK, Scorer

R = TypeVar("R")

CELLS = 5 << 20
"""Cells of rows that are read at once: 20 MB of codes, and as much encoded."""


@dataclass(frozen=True)
class Scored:
    """Some of the rows."""

    first: int
    """Which of all rows, from 0, the first one is."""
    table: pa.Table
    """Their columns (n), text in dictionaries."""
    scorer: Scorer
    origin: str

    def logits(self) -> Float64:
        """Score them: (n,), calibrated."""
        return self.scorer.served_logits(self.table, self.origin)


@dataclass(frozen=True)
class RawRows:
    """The rows of a log, for a bundle to score."""

    scorer: Scorer
    log: Log
    more: tuple[str, ...]
    """Columns that the caller wants beside those that the bundle needs."""

    @classmethod
    def open(
        cls,
        scorer: Scorer,
        rows: str,
        options: FileOptions,
        tables: Mapping[str, TableConfig],
        store: Path,
        more: Iterable[str] = (),
        progress: Progress | None = None,
        empty: bool = False,
    ) -> RawRows:
        """The rows of ``rows`` with the side tables ``tables``; no rows, where they may be ``empty``.

        Text is converted below ``store``. Raises what ``open_log`` raises, and InputError naming a column that is
        missing, and the side tables that training had where none are given.
        """
        found = cls(scorer, open_log((rows,), options, tables, store, progress, empty), tuple(more))
        try:
            found.log.check(found.columns)
        except AbsentColumnError as error:
            keys = [key for key in scorer.card.get("tables", ()) if key not in tables]
            if not keys:
                raise
            hint = " ".join(f"--table {key}=FILE" for key in keys)
            raise InputError(f"{error} The bundle was trained with side tables: name them with {hint}") from None
        return found

    @property
    def columns(self) -> list[str]:
        """All that are read."""
        return list(dict.fromkeys([*self.scorer.schema.columns, *self.more]))

    @property
    def at_once(self) -> int:
        """How many rows are read at once; a bundle and a log always give the same number."""
        return min(16, max(1, CELLS // len(self.columns) // CHUNK)) * CHUNK

    def each(self, work: Callable[[Scored], R], start: int = 0) -> Iterator[R]:
        """``work`` of ``at_once`` rows after the other from row ``start`` on, read and worked on ahead of the
        caller.

        Raises InputError naming file and row for a cell that its field, or ``work``, refuses.
        """
        tables = self.log.batches(self.columns, self.at_once, start)
        for found in in_order(lambda some: self._worked(work, *some), zip(tables, count(start, self.at_once))):
            give_back()
            yield found

    def _worked(self, work: Callable[[Scored], R], table: pa.Table, first: int) -> R:
        try:
            return work(Scored(first, table, self.scorer, self.log.origin))
        except BadValueError as error:
            raise InputError(f"{self.log.locate(first + error.row)}: {error.problem}") from None
