"""What the server asks of a scorer beyond ``predict``, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dagfm.encoding.rows import Float32, Indices, Rows
from dagfm.schema import UNKNOWN, Schema
from dagfm.serving.scorer import Scorer

Candidates = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]


def rank(
    scorer: Scorer, context: Mapping[str, Any], candidates: Candidates, top: int | None
) -> tuple[Indices, Float32]:
    """The ``top`` best of ``candidates`` for one ``context``: their indices, best first, and their scores."""
    ranked = scorer.rank(context, candidates, top=top)
    return ranked.indices, ranked.scores


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
