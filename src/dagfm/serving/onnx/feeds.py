"""What the graph is fed with: encoded rows as dense arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Int64, Ragged, Rows
from dagfm.schema import Schema

TOKENS, FLOATS, SCORE = "tokens", "floats", "score"
PADDING = -1


def items_input(name: str) -> str:
    """The input of a token_seq field."""
    return f"items:{name}"


def feed(schema: Schema, rows: Rows) -> dict[str, NDArray[Any]]:
    """The graph's inputs for B rows that ``Scorer.encode`` gave, each only where the schema has such fields.

    ``tokens`` (B, T) int64, row ids within their field; ``floats`` (B, W) float32, standardised, NaN where missing;
    ``items:NAME`` (B, longest) int64 for each token_seq field, filled up with -1. All in the schema's order.
    """
    found: dict[str, NDArray[Any]] = {}
    if rows.tokens.shape[1]:
        found[TOKENS] = rows.tokens.astype(np.int64)
    if rows.floats.shape[1]:
        found[FLOATS] = np.asarray(rows.floats, np.float32)
    for field, sequence in zip(schema.of_form("items"), rows.sequences, strict=True):
        found[items_input(field.name)] = padded(sequence)
    return found


def padded(sequence: Ragged) -> Int64:
    """(B, longest) int64, each row filled up with ``PADDING``."""
    lengths = np.diff(sequence.offsets)
    places = np.arange(int(lengths.max(initial=1)))
    held = places < lengths[:, None]
    found = np.full(held.shape, PADDING, np.int64)
    found[held] = sequence.values
    return found
