"""Rows nobody logged: the context of one row with the candidate of another."""

from __future__ import annotations

import numpy as np

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Indices, Rows
from dagfm.schema import Field, Schema


def recombined(rows: Rows, encoder: Encoder, context: Indices, candidate: Indices) -> Rows:
    """Row ``i`` takes its context fields from row ``context[i]`` and its candidate fields from ``candidate[i]``.

    A schema orders context fields first, so within tokens, floats and sequences they are the first columns. Crosses of
    both sides are made anew: a statistic of one is then that of a row outside the training rows.
    """
    tokens, floats, sequences = _context_columns(encoder.schema)
    mixed_tokens, mixed_floats = np.asarray(rows.tokens)[context], np.asarray(rows.floats)[context]
    mixed_tokens[:, tokens:] = np.asarray(rows.tokens)[:, tokens:][candidate]
    mixed_floats[:, floats:] = np.asarray(rows.floats)[:, floats:][candidate]
    mixed_sequences = [
        sequence.take(context if index < sequences else candidate) for index, sequence in enumerate(rows.sequences)
    ]
    mixed = Rows(mixed_tokens, mixed_floats, tuple(mixed_sequences))
    encoder.recross(mixed)
    return mixed


def _context_columns(schema: Schema) -> tuple[int, int, int]:
    """How many columns of tokens, floats and sequences belong to context fields."""
    fields: tuple[Field, ...] = schema.fields[: schema.context_size]
    return (
        sum(field.form == "ids" for field in fields),
        sum(field.width for field in fields if field.form == "numbers"),
        sum(field.form == "items" for field in fields),
    )
