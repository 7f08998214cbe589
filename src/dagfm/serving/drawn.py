"""Drawn rows that meet whatever a bundle knows, to compare two ways of scoring them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Ragged, Rows
from dagfm.schema import MISSING
from dagfm.serving.bundle import Bundle


def drawn(bundle: Bundle, count: int, seed: int = 0) -> Rows:
    """Encoded rows that meet every kind of value: *unknown*, *missing*, all ids alike, sequences of each length."""
    draw, schema, spans = np.random.default_rng(seed), bundle.encoder.schema, bundle.encoder.spans

    def ids(node: int, size: int) -> NDArray[np.int32]:
        found = draw.integers(0, spans.sizes[node], size).astype(np.int32)
        found[draw.random(size) < 0.1] = MISSING
        return found

    nodes = {form: [node for node, one in enumerate(schema) if one.form == form] for form in ("ids", "items")}
    tokens = [ids(node, count) for node in nodes["ids"]]
    width = sum(one.width for one in schema.of_form("numbers"))
    floats = draw.normal(size=(count, width)).astype(np.float32)
    floats[draw.random(floats.shape) < 0.2] = np.nan
    floats[:20] = np.nan
    sequences = []
    for node in nodes["items"]:
        offsets = np.concatenate([[0], np.cumsum(draw.integers(1, 6, count))])
        sequences.append(Ragged(offsets, ids(node, int(offsets[-1]))))
    return Rows(np.stack(tokens, axis=1) if tokens else np.zeros((count, 0), np.int32), floats, tuple(sequences))
