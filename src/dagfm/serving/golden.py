"""Golden rows: made-up raw rows of values that a bundle knows, and how they score where it is made.

Whoever loads the bundle scores them again, and sees whether that machine and that version of dagfm serve the model that
was trained. They are made from what the encoder has learned and hold nobody's row.
"""

from __future__ import annotations

import datetime
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from dagfm.encoding.encoder import Encoder
from dagfm.errors import DagfmError, InputError
from dagfm.schema import TIME_PARTS, Field
from dagfm.serving.bundle import Bundle, Golden
from dagfm.serving.scorer import Scorer

log = logging.getLogger(__name__)

ROWS = 32
TOLERANCE = 1e-4
"""Of a probability: processors add in different orders, which at worst changes it by a few 1e-5."""

_STRANGER = "\x00 golden"
"""No vocabulary holds it."""
_SPREAD = np.linspace(-2.0, 2.0, ROWS)
"""Standard deviations from the mean."""


def with_golden(bundle: Bundle, scorer: Scorer | None = None) -> Bundle:
    """``bundle`` with golden rows, scored by itself: row 1 is missing everywhere, row 2 unknown to every vocabulary."""
    columns = golden_columns(bundle.encoder)
    try:
        probabilities = (scorer or Scorer(bundle)).predict(columns, "golden rows")
    except InputError as error:
        # Training must not end without its bundle over this.
        log.warning("the bundle carries no golden rows: %s", error)
        return bundle
    return replace(bundle, golden=Golden(columns, [round(float(value), 7) for value in probabilities]))


def check_golden(scorer: Scorer) -> float | None:
    """The largest difference of the golden rows' probabilities from those written down; None where there are none.

    Raises DagfmError when it is beyond ``TOLERANCE``.
    """
    golden = scorer.bundle.golden
    if golden is None:
        return None
    found = scorer.predict(golden.columns, "golden rows")
    worst = float(np.abs(found - np.array(golden.probabilities)).max(initial=0.0))
    if not worst <= TOLERANCE:
        raise DagfmError(
            f"the golden rows score otherwise than where the bundle was made, by up to {worst:.2g}; "
            f"allowed is {TOLERANCE:g}"
        )
    return worst


def golden_columns(encoder: Encoder) -> dict[str, list[Any]]:
    """``ROWS`` cells of each column that the encoder reads; the same for equal encoders."""
    fields: dict[str, list[Field]] = {}
    for one in encoder.schema:
        if one.cross is None:
            fields.setdefault(one.source, []).append(one)
    return {column: [None, *_cells(encoder, readers)[1:]] for column, readers in fields.items()}


def _cells(encoder: Encoder, readers: Sequence[Field]) -> list[Any]:
    """Cells that every field which reads the column can read: numbers where one needs them, then times, then tokens."""
    by_need = sorted(readers, key=_need)
    field = by_need[0]
    if field.type == "float_seq":
        scale = encoder.scales[field.name]
        mean, std = np.array(scale.mean), np.array(scale.std)
        vectors: list[Any] = (mean + std * _SPREAD[:, None] * np.linspace(1.0, -1.0, field.width)).tolist()
        return vectors
    if field.type == "float":
        return _numbers(encoder, field)
    if field.encode in TIME_PARTS:
        start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
        times = [start + datetime.timedelta(hours=29 * row) for row in range(ROWS)]
        return [time.strftime(field.time_format) if field.time_format else time.isoformat() for time in times]
    tokens = _tokens(encoder, field)
    if field.type == "token_seq":
        lists = [tokens[row : row + 1 + row % 3] for row in range(ROWS)]
        return lists if field.separator is None else [field.separator.join(items) for items in lists]
    return tokens


def _need(field: Field) -> int:
    if field.type in ("float", "float_seq"):
        return 0
    return 1 if field.encode in TIME_PARTS else 2


def _numbers(encoder: Encoder, field: Field) -> list[float]:
    if field.name in encoder.bins:
        edges = encoder.bins[field.name].edges or (0.0,)
        return [float(edges[row * len(edges) // ROWS]) for row in range(ROWS)]
    if field.name in encoder.scales:
        scale = encoder.scales[field.name]
        return [float(value) for value in scale.mean[0] + scale.std[0] * _SPREAD]
    return [float(row) ** 2 for row in range(ROWS)]  # of log_squared, whose categories are logarithms


def _tokens(encoder: Encoder, field: Field) -> list[str]:
    """The most frequent tokens first, then from all over the vocabulary; a stranger in row 2."""
    if field.hash is not None:
        return [f"golden-{row}" for row in range(ROWS)]
    known = encoder.vocabulary_of(field).tokens
    if not len(known):
        return [_STRANGER] * ROWS
    half = ROWS // 2
    places = [row % len(known) if row < half else (row - half) * len(known) // half for row in range(ROWS)]
    tokens: list[str] = known.gather(places).to_list()
    tokens[1] = _STRANGER
    return tokens
