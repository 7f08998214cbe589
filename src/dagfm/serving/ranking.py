"""Ranking: one context and many candidates, of which what they share is computed once (the prefix cache)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Float32, Int64, Rows
from dagfm.errors import InputError
from dagfm.kernel.ranking import KeptCandidates, Ranker
from dagfm.metrics import sigmoid
from dagfm.schema import Schema

Encode = Callable[[Any, str], Rows]


@dataclass(frozen=True, eq=False)
class Ranking:
    """Candidates by their score, the best first; those that score alike in the order they came in."""

    indices: Int64
    """(k,) which of the candidates; (m, k) of m contexts."""
    scores: Float32
    """Their probabilities, of the same shape."""


@dataclass(frozen=True, eq=False)
class Context:
    """One context or several, encoded for one scorer."""

    owner: Prefixes
    single: bool
    kept: Any


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates encoded for one scorer."""

    owner: Prefixes
    kept: Any

    def __len__(self) -> int:
        return int(self.kept.height) if isinstance(self.kept, pl.DataFrame) else len(self.kept)


class Prefixes:
    """Contexts and candidates of one scorer: kept as the kernel has them, or as tables to score whole; thread-safe."""

    def __init__(
        self, schema: Schema, encode: Encode, logits: Callable[[Any, str], Float32], kept: Ranker | str
    ) -> None:
        """``encode`` and ``logits`` take raw rows with the columns of both sides. ``kept`` may be why nothing can be
        kept: every candidate is then scored as a row of its own."""
        self._schema, self._encode, self._logits = schema, encode, logits
        self._ranker = None if isinstance(kept, str) else kept
        self._untold = kept if isinstance(kept, str) else ""
        self._columns = columns_of(schema, "context"), columns_of(schema, "candidate")

    def context(self, rows: Any, origin: str = "context") -> Context:
        """A context from its columns in a dict, or several contexts from any rows that ``Scorer.predict`` takes."""
        self._check()
        single = isinstance(rows, Mapping)
        given = [dict(rows)] if single else rows
        if self._ranker is None:
            return Context(self, single, self._frame(given, 0, origin))
        encoded = self._encode(self._filled(given, 0, origin), origin)
        return Context(self, single, self._ranker.contexts(*_parts(encoded)))

    def candidates(self, rows: Any, origin: str = "candidates") -> Candidates:
        """Candidates from their columns, in any rows that ``Scorer.predict`` takes."""
        self._check()
        if self._ranker is None:
            return Candidates(self, self._frame(rows, 1, origin))
        encoded = self._encode(self._filled(rows, 1, origin), origin)
        return Candidates(self, self._ranker.candidates(*_parts(encoded)))

    def logits(self, context: Context, candidates: Candidates) -> Float32:
        """Logits (m, n) of n candidates in each of m contexts, before calibration."""
        for handle in (context, candidates):
            if handle.owner is not self:
                what = "context is" if handle is context else "candidates are"
                raise InputError(f"the {what} another scorer's")
        if self._ranker is not None:
            kept: KeptCandidates = candidates.kept
            return self._ranker.logits(context.kept, kept)
        found = np.empty((context.kept.height, len(candidates)), np.float32)
        for row in range(len(found)):
            one = context.kept[np.full(len(candidates), row)]
            whole = candidates.kept.hstack(one.select(name for name in one.columns if name not in self._columns[1]))
            found[row] = self._logits(whole, "candidates")
        return found

    def _check(self) -> None:
        """Refuse a schema without sides; say once what is slower."""
        if not 0 < self._schema.context_size < len(self._schema):
            raise InputError("rank needs fields of both sides: give fields 'side: candidate' in the configuration")
        if self._untold:
            reason, self._untold = self._untold, ""
            log = logging.getLogger("dagfm.serving")
            log.warning("rank scores every candidate as a row of its own: %s", reason)

    def _frame(self, rows: Any, side: int, origin: str) -> pl.DataFrame:
        """The columns of one side, checked by encoding them."""
        frame = to_frame(rows, origin)
        self._encode(_blank(frame, self._others(side)), origin)
        if not frame.columns:
            return pl.DataFrame({name: [] for name in self._columns[side]})
        return frame.select(self._columns[side])

    def _filled(self, rows: Any, side: int, origin: str) -> Any:
        """The rows with the other side's columns, which are missing there and do not count."""
        others = self._others(side)
        if isinstance(rows, list) and all(type(row) is dict for row in rows):
            blank = dict.fromkeys(others)
            return [{**row, **blank} for row in rows]
        return _blank(to_frame(rows, origin), others)

    def _others(self, side: int) -> list[str]:
        return [name for name in self._columns[1 - side] if name not in self._columns[side]]


def ranked(logits: NDArray[np.float64], top: int | None) -> Ranking:
    """The order of served logits (m, n); ``top`` keeps the best, fewer where there are not as many.

    Raises InputError for a ``top`` below 1.
    """
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or top < 1):
        raise InputError(f"top is {top!r}, expected a whole number from 1 on")
    count = logits.shape[1] if top is None else min(top, logits.shape[1])
    indices = np.empty((len(logits), count), np.int64)
    for row, values in enumerate(logits):
        indices[row] = _best(values, count)
    return Ranking(indices, sigmoid(np.take_along_axis(logits, indices, axis=1)).astype(np.float32))


def why_not(schema: Schema, network: Mapping[str, Any], kernel: bool) -> str | None:
    """Why nothing can be kept of a context; None where it can."""
    mixed = [one.name for one in schema if any(schema.named(member).side != one.side for member in one.cross or ())]
    shared = set(columns_of(schema, "context")) & set(columns_of(schema, "candidate"))
    reasons = {
        "no field is named a candidate": not 0 < schema.context_size < len(schema),
        "the compiled kernel is missing": not kernel,
        f"messages are {network['type']}, not inner": network["type"] != "inner",
        "connect is full, so that the context's states depend on the candidate": network["connect"] == "full",
        "the head has hidden layers": bool(network.get("hidden")),
        f"of the other side's fields is made {mixed[:1]}": bool(mixed),
        f"of both sides is the column {sorted(shared)[:1]}": bool(shared),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def columns_of(schema: Schema, side: str) -> list[str]:
    """The columns that the fields of a side are read from."""
    return list(dict.fromkeys(one.source for one in schema if one.side == side and one.cross is None))


def _best(values: NDArray[np.float64], count: int) -> Int64:
    if 0 < count < len(values) // 4:
        least = np.partition(values, len(values) - count)[len(values) - count]
        places = np.flatnonzero(values >= least)
        return places[np.argsort(-values[places], kind="stable")[:count]]
    return np.argsort(-values, kind="stable")[:count]


def _blank(frame: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    return frame.with_columns(pl.lit(None).alias(name) for name in names) if frame.columns else frame


def _parts(rows: Rows) -> Any:
    return rows.tokens, rows.floats, [(one.offsets, one.values) for one in rows.sequences]
