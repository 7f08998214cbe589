"""Ranking: one context and many candidates, of which what they share is computed once (the prefix cache)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Float32, Int64, Rows
from dagfm.errors import InputError
from dagfm.kernel.library import chosen_version
from dagfm.kernel.ranking import KeptCandidates, Ranker, falling
from dagfm.schema import Schema

Encode = Callable[[Any, str, frozenset[str]], Rows]


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

    def __repr__(self) -> str:
        return f"<{len(self.kept)} context{'' if len(self.kept) == 1 else 's'}>"


@dataclass(frozen=True, eq=False)
class Candidates:
    """Candidates encoded for one scorer."""

    owner: Prefixes
    kept: Any

    def __repr__(self) -> str:
        return f"<{len(self)} candidate{'' if len(self) == 1 else 's'}>"

    def __len__(self) -> int:
        return int(self.kept.height) if isinstance(self.kept, pl.DataFrame) else len(self.kept)


class Prefixes:
    """Contexts and candidates of one scorer: kept as the kernel has them, or as tables to score whole; thread-safe."""

    def __init__(
        self, schema: Schema, encode: Encode, logits: Callable[[Any, str], Float32], kept: Ranker | str
    ) -> None:
        """``encode`` takes raw rows and the names of columns that they lack, ``logits`` raw rows.

        ``kept`` may be why nothing can be kept: every candidate is then scored as a row of its own.
        """
        self._schema, self._encode, self._logits = schema, encode, logits
        self._ranker = None if isinstance(kept, str) else kept
        self._untold = kept if isinstance(kept, str) else ""
        self._columns = own = columns_of(schema, "context"), columns_of(schema, "candidate")
        self._others = frozenset(own[1]) - frozenset(own[0]), frozenset(own[0]) - frozenset(own[1])

    def context(self, rows: Any, origin: str = "context") -> Context:
        """A context from its columns in a dict, or several contexts from any rows that ``Scorer.predict`` takes."""
        self._check()
        single = isinstance(rows, Mapping)
        if single and not rows:
            raise InputError(f"{origin}: column '{self._columns[0][0]}' is missing; it is empty")
        given = [dict(rows)] if single else rows
        if self._ranker is None:
            return Context(self, single, self._frame(given, 0, origin))
        encoded = self._encode(given, origin, self._others[0])
        return Context(self, single, self._ranker.contexts(*_parts(encoded)))

    def candidates(self, rows: Any, origin: str = "candidates") -> Candidates:
        """Candidates from their columns, in any rows that ``Scorer.predict`` takes."""
        found = self.passing(rows, origin)
        return Candidates(self, self._ranker.candidates(*_parts(found.kept))) if self._ranker else found

    def passing(self, rows: Any, origin: str = "candidates") -> Candidates:
        """The same for a single call of ``logits``: encoded, of which nothing more is computed than that call needs."""
        self._check()
        if self._ranker is None:
            return Candidates(self, self._frame(rows, 1, origin))
        return Candidates(self, self._encode(rows, origin, self._others[1]))

    def logits(self, context: Context, candidates: Candidates) -> Float32:
        """Logits (m, n) of n candidates in each of m contexts, before calibration."""
        for handle in (context, candidates):
            if handle.owner is not self:
                what = "context is" if handle is context else "candidates are"
                raise InputError(f"the {what} another scorer's")
        if isinstance(candidates.kept, KeptCandidates):
            return self._ranker.logits(context.kept, candidates.kept)  # type: ignore[union-attr]
        if isinstance(candidates.kept, Rows):
            return self._ranker.once(context.kept, *_parts(candidates.kept))  # type: ignore[union-attr]
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
        self._encode(frame, origin, self._others[side])
        return (
            frame.select(self._columns[side]) if frame.columns else pl.DataFrame({x: [] for x in self._columns[side]})
        )


def best(logits: Float32, top: int | None) -> Int64:
    """Which of n logits are the largest: (n,), or (top,) of them, in falling order, equal ones as they came.

    Raises InputError for a ``top`` below 0.
    """
    if top is not None and (not isinstance(top, int) or isinstance(top, bool) or top < 0):
        raise InputError(f"top is {top!r}, expected a whole number, 0 or more")
    if not top or top > len(logits) // 4:
        return _falling(logits)[:top]
    least = np.partition(logits, len(logits) - top)[len(logits) - top]
    places = np.flatnonzero(logits >= least)
    return places[_falling(logits[places])[:top]]


def why_not(schema: Schema, network: Mapping[str, Any], kernel: bool) -> str | None:
    """Why nothing can be kept of a context; None where it can."""
    mixed = [one.name for one in schema if any(schema.named(member).side != one.side for member in one.cross or ())]
    shared = set(columns_of(schema, "context")) & set(columns_of(schema, "candidate"))
    reasons = {
        "no field is named a candidate": not 0 < schema.context_size < len(schema),
        "the compiled kernel is missing": not kernel,
        f"messages are {network['type']}, neither inner nor outer": network["type"] not in ("inner", "outer"),
        "connect is full, so that the context's states depend on the candidate": network["connect"] == "full",
        "the head has hidden layers": bool(network.get("hidden")),
        f"of the other side's fields is made {mixed[:1]}": bool(mixed),
        f"of both sides is the column {sorted(shared)[:1]}": bool(shared),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def columns_of(schema: Schema, side: str) -> list[str]:
    """The columns that the fields of a side are read from."""
    return list(dict.fromkeys(one.source for one in schema if one.side == side and one.cross is None))


def _falling(values: Float32) -> Int64:
    """The stable order; few are sorted in NumPy, as a call of the kernel costs more."""
    return falling(values) if len(values) > 128 and chosen_version() else np.argsort(-values, kind="stable")


def _parts(rows: Rows) -> Any:
    return rows.tokens, rows.floats, [(one.offsets, one.values) for one in rows.sequences]
