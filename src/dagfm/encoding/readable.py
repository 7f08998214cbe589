"""Row ids back to what a reader calls the value."""

from __future__ import annotations

from dagfm.encoding.encoder import Encoder
from dagfm.schema import FIRST, MISSING, UNKNOWN


def value_of(encoder: Encoder, name: str, row: int) -> str:
    """The value that row id ``row`` of a field with a vocabulary or bins stands for."""
    if row in (UNKNOWN, MISSING):
        return "unknown" if row == UNKNOWN else "missing"
    if name in encoder.bins:
        edges = encoder.bins[name].edges
        bin_ = row - FIRST
        low = f"{edges[bin_ - 1]:g}" if bin_ else ""
        high = f"{edges[bin_]:g}" if bin_ < len(edges) else ""
        return f"{low}..{high}"
    token: str = encoder.vocabulary_of(encoder.schema.named(name)).tokens[row - FIRST]
    return token
