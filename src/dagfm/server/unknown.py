"""How much of what is asked was never seen in training."""

from __future__ import annotations

import numpy as np

from dagfm.encoding.rows import Rows
from dagfm.schema import UNKNOWN, Schema


def unknown_counts(schema: Schema, rows: Rows) -> dict[str, tuple[int, int]]:
    """Of each field with a vocabulary, how many values of encoded ``rows`` training never saw, and how many there
    are."""
    found: dict[str, tuple[int, int]] = {}
    items = iter(rows.sequences)
    for field in schema:
        if field.form == "ids":
            ids = rows.tokens[:, schema.ids_column(field.name)]
        elif field.form == "items":
            ids = next(items).values
        else:
            continue
        if field.has_vocabulary or field.vocabulary is not None or field.cross is not None:
            found[field.name] = int(np.count_nonzero(ids == UNKNOWN)), len(ids)
    return found
