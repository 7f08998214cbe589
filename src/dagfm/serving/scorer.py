"""The scorer: raw rows in, served probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dagfm.encoding.compiled import CompiledEncoder
from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Float32, Rows
from dagfm.kernel.library import chosen_version
from dagfm.metrics import Float64, sigmoid
from dagfm.schema import Schema
from dagfm.serving.bundle import Bundle, bundle_in, read_bundle
from dagfm.serving.encoded import EncodedScorer
from dagfm.serving.forward import Network

Advance = Callable[[int], None]

CHUNK = 8192
"""Rows scored at a time, which bounds the memory of the states."""


class Scorer:
    """A loaded bundle. Thread-safe: scoring changes nothing."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        table = bundle.table
        network = Network(bundle.network, bundle.parameters, len(self.schema), table.shape[1])
        self._encoder = CompiledEncoder(bundle.encoder, bundle.indexes) if chosen_version() else None
        self._encoded = EncodedScorer(network, table, self.schema, bundle.encoder.spans)

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
        calibration = self.bundle.calibration
        return calibration["scale"] * self.logits(rows, origin, advance).astype(np.float64) + calibration["shift"]

    def logits(self, rows: Any, origin: str = "rows", advance: Advance | None = None) -> Float32:
        """Return the logits (N,) of N raw rows, before calibration; as ``served_logits`` otherwise."""
        encoded = self.encode(rows, origin)
        logits = np.empty(len(encoded), np.float32)
        for start in range(0, len(encoded), CHUNK):
            chunk = np.arange(start, min(start + CHUNK, len(encoded)))
            whole = len(chunk) == len(encoded)
            logits[chunk] = self.score_encoded(encoded if whole else encoded.take(chunk))
            if advance is not None:
                advance(len(chunk))
        return logits

    def encode(self, rows: Any, origin: str = "rows") -> Rows:
        """Return N raw rows encoded, as ``score_encoded`` takes them; raises as ``predict`` does."""
        if self._encoder is None:
            return self.bundle.encoder.encode(to_frame(rows, origin), origin)
        found = self._encoder.encode_dicts(rows, origin) if isinstance(rows, list) else None
        return self._encoder.encode(to_frame(rows, origin), origin) if found is None else found

    def score_encoded(self, rows: Rows) -> Float32:
        """Return the logits (N,) of N encoded rows, before calibration.

        Raises IndexError where an id is no row of the table.
        """
        return self._encoded.logits(rows)


def load(path: str | Path, verify: bool = False) -> Scorer:
    """Load a bundle and return its scorer; needs no torch.

    ``path`` is a bundle directory, or a run directory that holds one. Raises InputError naming the file when it is not
    a bundle, was written by a newer dagfm, or is truncated or altered.
    """
    return Scorer(read_bundle(bundle_in(path), verify))
