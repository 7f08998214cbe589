"""The scorer: raw rows in, served probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.compiled import CompiledEncoder, blank
from dagfm.encoding.frames import arrow_table, to_frame
from dagfm.encoding.rows import Float32, Rows
from dagfm.errors import listed
from dagfm.kernel.library import chosen_version
from dagfm.metrics import Float64, sigmoid
from dagfm.schema import Schema
from dagfm.serving.bundle import Bundle, bundle_in, read_bundle
from dagfm.serving.encoded import EncodedScorer
from dagfm.serving.explanation.explainer import Explainer
from dagfm.serving.explanation.explanation import Explanation
from dagfm.serving.forward import Network
from dagfm.serving.ranking import Candidates, Context, Prefixes, Ranking, best, why_not

Advance = Callable[[int], None]

CHUNK = 8192
"""Rows scored at a time, which bounds the memory of the states."""


class Scorer:
    """A loaded bundle. Thread-safe: scoring changes nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        table = bundle.table
        network = Network(bundle.network, bundle.parameters, len(self.schema), table.rows.shape[1])
        self._encoder = CompiledEncoder(bundle.encoder, bundle.indexes) if chosen_version() else None
        self._encoded = EncodedScorer(network, table, self.schema, bundle.encoder.spans)
        reason = why_not(self.schema, bundle.network, chosen_version() is not None)
        self._prefixes = Prefixes(self.schema, self.encode, self.logits, reason or self._encoded.ranker())

    def __repr__(self) -> str:
        served, names = self.card.get("served", {}), listed(self.schema.columns)
        told = " ".join(str(served[key]) for key in ("name", "phase") if key in served)
        return f"<dagfm.Scorer {told}: {len(self.schema)} fields of columns {names}>"

    def warm_up(self) -> None:
        """Score and rank a row of nothing, so that the first request finds made what is made once.

        Weights and indexes stay mapped: their rows come as they are asked for. Call it in the process that serves: the
        threads of polars do not outlive a fork.
        """
        nothing = dict.fromkeys(self.schema.columns)
        self.predict([nothing])
        self.predict(pl.DataFrame([pl.Series(name, [None]) for name in nothing]))
        if self.schema.has_sides:
            self.rank(nothing, [nothing])

    @property
    def schema(self) -> Schema:
        """The fields a row needs, in node order."""
        return self.bundle.encoder.schema

    @property
    def card(self) -> Mapping[str, Any]:
        """What is known of the model: label rule, figures on validation and test rows, the version that wrote it."""
        return self.bundle.card

    def predict(self, rows: Any, origin: str = "rows") -> Float32:
        """Return the served click probabilities (N,) of N raw rows, in their order.

        ``rows``: a polars, pandas or arrow table, a list of dicts, or a dict of columns. Unseen and missing values are
        fine, extra columns are ignored. Raises InputError naming the field (and row) when a field is absent or a value
        of a float field is not a number; ``origin`` is what the message calls the rows.
        """
        return sigmoid(self.served_logits(rows, origin)).astype(np.float32)

    def served_logits(self, rows: Any, origin: str = "rows", advance: Advance | None = None) -> Float64:
        """Return the calibrated logits (N,) of N raw rows: what ``predict`` puts through the sigmoid.

        ``advance`` is told how many more rows are done, a chunk at a time.
        """
        return self._served(self.logits(rows, origin, advance))

    def logits(self, rows: Any, origin: str = "rows", advance: Advance | None = None) -> Float32:
        """Return the logits (N,) of N raw rows, before calibration; as ``served_logits`` otherwise."""
        return self._in_chunks(self.encode(rows, origin), advance)

    def served_encoded(self, rows: Rows) -> Float64:
        """Return the calibrated logits (N,) of N encoded rows; raises as ``score_encoded``."""
        return self._served(self._in_chunks(rows))

    def _in_chunks(self, encoded: Rows, advance: Advance | None = None) -> Float32:
        if 0 < len(encoded) <= CHUNK:
            logits = self.score_encoded(encoded)
            if advance is not None:
                advance(len(encoded))
            return logits
        logits = np.empty(len(encoded), np.float32)
        for start in range(0, len(encoded), CHUNK):
            chunk = np.arange(start, min(start + CHUNK, len(encoded)))
            logits[chunk] = self.score_encoded(encoded.take(chunk))
            if advance is not None:
                advance(len(chunk))
        return logits

    def encode(self, rows: Any, origin: str = "rows", without: frozenset[str] = frozenset()) -> Rows:
        """Return N raw rows encoded, as ``score_encoded`` takes them; raises as ``predict`` does.

        Columns that are named in ``without`` need not be there, and count as missing.
        """
        if self._encoder is None:
            return self.bundle.encoder.encode(blank(to_frame(rows, origin), without), origin)
        if isinstance(rows, list) or type(rows) is dict:
            found = self._encoder.encode_dicts(rows, origin, without)
        else:
            found = self._encoder.encode_pandas(rows, without)
        if found is not None:
            return found
        table = arrow_table(rows)
        return self._encoder.encode(to_frame(rows, origin) if table is None else table, origin, without)

    def score_encoded(self, rows: Rows) -> Float32:
        """Return the logits (N,) of N encoded rows, before calibration.

        Raises IndexError where an id is no row of the table.
        """
        return self._encoded.logits(rows)

    def context(self, row: Any) -> Context:
        """Encode what candidates share and compute what depends on it alone, for several calls of ``rank``.

        ``row``: a dict of the context fields' columns; or several contexts, as rows that ``predict`` takes. Other
        columns are ignored. Raises as ``predict``, and where the schema does not name both sides.
        """
        return self._prefixes.context(row)

    def candidates(self, rows: Any) -> Candidates:
        """Encode a catalogue, rows (n) with the candidate fields' columns, for several calls of ``rank``; as
        ``context`` otherwise."""
        return self._prefixes.candidates(rows)

    def rank(self, context: Any, candidates: Any, top: int | None = None) -> Ranking:
        """Order candidates by their probability in a context: the numbers of ``predict``, for a fraction of the work.

        ``context`` and ``candidates`` are what ``context`` and ``candidates`` take or return. One context, a dict,
        gives (n,) indices and scores, m contexts (m, n); of ``top`` candidates only, where it is given.
        """
        given = context if isinstance(context, Context) else self.context(context)
        rows = candidates if isinstance(candidates, Candidates) else self._prefixes.passing(candidates)
        logits = self._prefixes.logits(given, rows)
        rising = logits if self.bundle.calibration["scale"] >= 0 else -logits
        indices = [best(one, top) for one in rising]
        scores = [self._probabilities(one[order]) for one, order in zip(logits, indices, strict=True)]
        if given.single:
            return Ranking(indices[0], scores[0])
        shape = len(logits), len(rows) if top is None else min(top, len(rows))
        return Ranking(np.array(indices, np.int64).reshape(shape), np.array(scores, np.float32).reshape(shape))

    def explain(self, rows: Any, paths: int = 10, origin: str = "rows") -> list[Explanation]:
        """Take the score of each of N raw rows apart, exactly: what every order, node, field and edge of the graph adds
        to the logit, the strongest ``paths`` (0 for none, which is faster), and what the row said of every field.

        ``rows`` as in ``predict``; raises as it does, and where the student's head has hidden layers.
        """
        return self._explainer.explain(rows, paths, origin)

    @cached_property
    def _explainer(self) -> Explainer:
        return Explainer(self.bundle, self.encode, self.served_encoded)

    def _probabilities(self, logits: Float32) -> Float32:
        return sigmoid(self._served(logits)).astype(np.float32)

    def _served(self, logits: Float32) -> Float64:
        calibration = self.bundle.calibration
        return calibration["scale"] * logits.astype(np.float64) + calibration["shift"]


def load(path: str | Path, verify: bool = False) -> Scorer:
    """Load a bundle and return its scorer; needs no torch.

    ``path`` is a bundle directory, or a run directory that holds one. Raises InputError naming the file when it is not
    a bundle, was written by a newer dagfm, or is truncated or altered.
    """
    return Scorer(read_bundle(bundle_in(path), verify))
