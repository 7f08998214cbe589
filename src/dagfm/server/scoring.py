"""The handlers that score: v2 infer, and plain predict, rank and explain. Synchronous; any thread may call them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from dagfm.encoding.rows import Float32
from dagfm.errors import DagfmError
from dagfm.server import infer
from dagfm.server.answers import Answer, RefusedError, to_json
from dagfm.server.call import Call
from dagfm.server.columns import as_lists
from dagfm.server.compression import inflate
from dagfm.server.drift import Drift
from dagfm.server.messages import ExplainBody, PredictBody, RankBody, decoded, read, rows_apart
from dagfm.server.metrics import Metrics
from dagfm.server.models import Served
from dagfm.server.repository import Repository
from dagfm.server.settings import INLINE, Limits
from dagfm.server.unknown import unknown_counts
from dagfm.serving.ranking import columns_of

log = logging.getLogger(__name__)

EXPLAINED = 100
"""Rows of an explain request: each takes a millisecond or two and answers with tens of kilobytes."""
PATHS = 100
"""Paths that it may ask for."""

_PIECE = 128
"""Rows of a large request that are read and scored at a time: a third of a millisecond each."""
_SAMPLED = 256
_SECONDS_BETWEEN_SAMPLES = 1.0


class Scoring:
    """Reads a request, scores its rows, writes the answer, and counts."""

    def __init__(self, repository: Repository, metrics: Metrics, limits: Limits, drift: Drift) -> None:
        self._repository, self._metrics, self._limits, self._drift = repository, metrics, limits, drift
        self._sampled: dict[tuple[str, bool], float] = {}
        self._sampling = threading.Lock()
        self._aside = ThreadPoolExecutor(1, thread_name_prefix="sampling")

    def infer(self, call: Call) -> Answer:
        """``POST /v2/models/NAME/infer``."""
        served, body = self._begin(call)
        request = infer.parse(body, call.headers.get(infer.HEADER), served.columns, self._limits.rows)
        call.rows = request.rows
        scores = served.scorer.predict(as_lists(request.columns, served.columns))
        self._count(served, request.columns, scores)
        return infer.answer(request, served.model, served.version, scores)

    def predict(self, call: Call) -> Answer:
        """``POST /v1/models/NAME:predict``."""
        served, body = self._begin(call)
        rows: Sequence[dict[str, Any]] | dict[str, list[Any]]
        if len(body) > INLINE and (found := self._in_pieces(served, body)) is not None:
            rows, scores = found
            call.rows = len(scores)
        else:
            rows = read(body, PredictBody).rows
            call.rows = self._checked(rows, "rows", self._limits.rows)
            scores = served.scorer.predict(rows)
        self._count(served, rows, scores)
        return Answer(to_json({"scores": scores}))

    def _in_pieces(self, served: Served, body: bytes) -> tuple[list[dict[str, Any]], Float32] | None:
        """The first rows of a large request and the scores of all; None where anything is wrong with them.

        Reading JSON and encoding its rows hold the interpreter from the event loop, so they take some rows at a time.
        """
        apart = rows_apart(body)
        if not apart:
            return None
        self._checked(apart, "rows", self._limits.rows)
        scores, first = [], []
        for start in range(0, len(apart), _PIECE):
            rows = decoded(apart[start : start + _PIECE])
            if rows is None:
                return None
            try:
                scores.append(served.scorer.predict(rows))
            except DagfmError:  # which row it is, and what is right for all of them, only all of them can say
                return None
            first += rows if start < _SAMPLED else []
        return first, np.concatenate(scores)

    def rank(self, call: Call) -> Answer:
        """``POST /v1/models/NAME:rank``."""
        served, body = self._begin(call)
        asked = read(body, RankBody)
        if asked.top is not None and asked.top < 0:
            raise RefusedError(400, f"top is {asked.top}, expected 0 or more")
        call.rows = self._checked(asked.candidates, "candidates", self._limits.rows)
        ranked = served.scorer.rank(asked.context, asked.candidates, top=asked.top)
        self._metrics.rows.labels(served.model, served.label).inc(call.rows)
        if call.rows and self._is_time(served, ranked=True):
            self._aside.submit(self._look_at, served, _first(asked.candidates), context=asked.context)
        return Answer(to_json({"indices": ranked.indices, "scores": ranked.scores}))

    def explain(self, call: Call) -> Answer:
        """``POST /v1/models/NAME:explain``."""
        served, body = self._begin(call)
        asked = read(body, ExplainBody)
        if not 0 <= asked.paths <= PATHS:
            raise RefusedError(400, f"paths is {asked.paths}, expected 0 to {PATHS}")
        call.rows = self._checked(asked.rows, "rows", min(EXPLAINED, self._limits.rows))
        found = served.scorer.explain(asked.rows, asked.paths)
        self._metrics.rows.labels(served.model, served.label).inc(call.rows)
        return Answer(to_json({"explanations": [one.as_dict() for one in found]}))

    def _begin(self, call: Call) -> tuple[Served, bytes]:
        """The version that answers and the body in plain; the call's log line knows the version from here on."""
        served = self._repository.find(call.names["model"], call.names.get("version"))
        call.model, call.version = served.model, served.version
        return served, inflate(call.body, call.header(b"content-encoding"), self._limits.body)

    def _checked(self, rows: Sequence[Any] | Mapping[str, Sequence[Any]], what: str, most: int) -> int:
        """How many rows; raises RefusedError (413) for too many."""
        count = max(map(len, rows.values()), default=0) if isinstance(rows, Mapping) else len(rows)
        if count > most:
            raise RefusedError(413, f"{count} {what}, at most {most} are taken at once")
        return count

    def _count(self, served: Served, rows: Any, scores: Float32) -> None:
        """Note the scores, and now and then what the rows hold."""
        self._metrics.observe_scores(served, scores)
        if len(scores) and self._is_time(served, ranked=False):
            self._aside.submit(self._look_at, served, _first(rows), scores[:_SAMPLED])

    def _is_time(self, served: Served, ranked: bool) -> bool:
        """Whether a request of the model is to be looked at; if so, not the next ones."""
        key, now = (served.model, ranked), time.monotonic()
        if now - self._sampled.get(key, 0.0) < _SECONDS_BETWEEN_SAMPLES:
            return False
        with self._sampling:
            if now - self._sampled.get(key, 0.0) < _SECONDS_BETWEEN_SAMPLES:
                return False
            self._sampled[key] = now
        return True

    def _look_at(
        self, served: Served, rows: Any, scores: Float32 | None = None, context: Mapping[str, Any] | None = None
    ) -> None:
        """Count a sample's unknown values and, where it has ``scores``, what tells whether requests have drifted.

        With a ``context``, ``rows`` are candidates.
        """
        try:
            encoded = served.scorer.encode(rows if context is None else _whole(served, context, rows))
            for field, (unknown, ids) in unknown_counts(served.scorer.schema, encoded).items():
                self._metrics.unknown.labels(served.model, field).inc(unknown)
                self._metrics.ids.labels(served.model, field).inc(ids)
            if scores is not None:
                self._drift.observe(served, encoded, scores)
        except Exception:
            log.exception("model %s: a sample of its requests cannot be counted", served.model)


def _first(rows: Any) -> Any:
    """The sample of rows, or of columns."""
    return {name: cells[:_SAMPLED] for name, cells in rows.items()} if isinstance(rows, Mapping) else rows[:_SAMPLED]


def _whole(served: Served, context: Mapping[str, Any], candidates: Any) -> Any:
    """Candidates, rows or columns, with the context in each; of either side its own columns, which have been read."""
    shared = {name: context[name] for name in columns_of(served.scorer.schema, "context")}
    own = columns_of(served.scorer.schema, "candidate")
    if isinstance(candidates, Mapping):
        count = len(candidates[own[0]])
        return {**{name: [value] * count for name, value in shared.items()}, **{name: candidates[name] for name in own}}
    return [{**shared, **{name: one.get(name) for name in own}} for one in candidates]
