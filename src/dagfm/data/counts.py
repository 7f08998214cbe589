"""How often each row of the embedding occurs in encoded rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Int64, Rows
from dagfm.schema import FIRST, MISSING


def row_counts(rows: Rows, encoder: Encoder) -> Int64:
    """(offsets[-1],) int64: occurrences of every row of every field, in the encoder's global row order.

    Tokens and items of sequences count one by one; of a float field *missing* counts the components that are not there,
    a component's row those that are.
    """
    counts = np.zeros(encoder.offsets[-1], np.int64)
    tokens, sequences, floats = iter(rows.tokens.T), iter(rows.sequences), iter(rows.floats.T)
    for name, start, stop in zip(encoder.schema.names, encoder.offsets, encoder.offsets[1:], strict=False):
        if name in encoder.scales:
            _count_floats(counts[start:stop], floats)
        else:
            is_sequence = encoder.schema.fields[encoder.schema.names.index(name)].type == "token_seq"
            ids = next(sequences).values if is_sequence else next(tokens)
            counts[start:stop] = np.bincount(ids, minlength=stop - start)
    return counts


def _count_floats(counts: Int64, components: Iterator[Float32]) -> None:
    for row in range(FIRST, len(counts)):
        component = next(components)
        missing = int(np.isnan(component).sum())
        counts[MISSING] += missing
        counts[row] = len(component) - missing
