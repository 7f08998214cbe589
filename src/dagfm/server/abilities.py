"""What the server asks of a scorer beyond ``predict``, in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Float32, Indices
from dagfm.schema import UNKNOWN
from dagfm.server.answers import RefusedError
from dagfm.serving.scorer import Scorer

Candidates = Sequence[Mapping[str, Any]] | Mapping[str, Sequence[Any]]


def rank(
    scorer: Scorer, context: Mapping[str, Any], candidates: Candidates, top: int | None
) -> tuple[Indices, Float32]:
    """The ``top`` best of ``candidates`` for one ``context``: their indices, best first, and their scores."""
    ranked = scorer.rank(context, _as_columns(candidates), top=top)
    return ranked.indices, ranked.scores


def _as_columns(candidates: Candidates) -> Candidates:
    """A list of candidates as columns, which the scorer's ``rank`` encodes several times faster; a key that only some
    have is a missing value of the others, in both."""
    if isinstance(candidates, Mapping) or not candidates:
        return candidates
    names = dict.fromkeys(name for candidate in candidates for name in candidate)
    return {name: [candidate.get(name) for candidate in candidates] for name in names} if names else candidates


def explain(scorer: Scorer, rows: Any) -> Any:
    """One explanation a row; raises RefusedError (501) where this dagfm's scorer cannot."""
    own = getattr(scorer, "explain", None)
    if own is None:
        raise RefusedError(501, "this version of dagfm cannot explain scores")
    return own(rows)


def unknown_counts(scorer: Scorer, rows: Any) -> dict[str, tuple[int, int]]:
    """Of each field with a vocabulary, how many values of ``rows`` training never saw, and how many there are."""
    encoder = scorer.bundle.encoder
    encoded = encoder.encode(to_frame(rows))
    found: dict[str, tuple[int, int]] = {}
    items = iter(encoded.sequences)
    for field in scorer.schema:
        if field.form == "ids":
            ids = encoded.tokens[:, scorer.schema.ids_column(field.name)]
        elif field.form == "items":
            ids = next(items).values
        else:
            continue
        if field.has_vocabulary or field.vocabulary is not None or field.cross is not None:
            found[field.name] = int(np.count_nonzero(ids == UNKNOWN)), len(ids)
    return found
