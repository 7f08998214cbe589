"""Rows nobody logged: the context of one row with the candidate of another."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dagfm.data.shuffle import Shuffle
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Indices, Rows
from dagfm.schema import Field, Schema


def recombined(rows: Rows, encoder: Encoder, context: Indices, candidate: Indices) -> Rows:
    """Row ``i`` takes its context fields from row ``context[i]`` and its candidate fields from ``candidate[i]``.

    A schema orders context fields first, so within tokens, floats and sequences they are the first columns. Crosses of
    both sides are made anew: a statistic of one is then that of a row outside the training rows.
    """
    tokens, floats, sequences = _context_columns(encoder.schema)
    # take reads whole rows, which is several times faster than an index into a part of the columns.
    mixed_tokens, mixed_floats = np.take(rows.tokens, context, axis=0), np.take(rows.floats, context, axis=0)
    mixed_tokens[:, tokens:] = np.take(rows.tokens, candidate, axis=0)[:, tokens:]
    mixed_floats[:, floats:] = np.take(rows.floats, candidate, axis=0)[:, floats:]
    mixed_sequences = [
        sequence.take(context if index < sequences else candidate) for index, sequence in enumerate(rows.sequences)
    ]
    mixed = Rows(mixed_tokens, mixed_floats, tuple(mixed_sequences))
    encoder.recross(mixed)
    return mixed


def draw_pairs(rows: int, count: int, seed: int) -> Iterator[tuple[Indices, Indices]]:
    """``count`` pairs of training rows, one to give the context and one the candidate fields, in runs.

    Both are drawn from all rows where these fit a window of ``Shuffle``, else each run from one window: the rows that
    a batch then reads lie in few pages, and every row is drawn as often as any other.
    """
    shuffle = Shuffle(rows, seed)
    if shuffle.windows == 1:
        context, candidate = np.random.default_rng(seed).integers(0, rows, (2, count), dtype=np.int32)
        yield context, candidate
        return
    for run in range(-(-count // shuffle.window)):
        nearby = shuffle.nearby(run)
        size = min(shuffle.window, count - run * shuffle.window)
        drawn = np.random.default_rng([seed, run + 1]).integers(0, len(nearby), (2, size))
        context, candidate = nearby[drawn]
        yield context, candidate


def _context_columns(schema: Schema) -> tuple[int, int, int]:
    """How many columns of tokens, floats and sequences belong to context fields."""
    fields: tuple[Field, ...] = schema.fields[: schema.context_size]
    return (
        sum(field.form == "ids" for field in fields),
        sum(field.width for field in fields if field.form == "numbers"),
        sum(field.form == "items" for field in fields),
    )
