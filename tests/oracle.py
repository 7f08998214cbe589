"""Encoders learned in memory, in the plainest way: what out-of-core preparation must agree with."""

from __future__ import annotations

import numpy as np
import polars as pl

from dagfm.encoding.bins import Bins
from dagfm.encoding.crosses import Crosses, HashedCrosses, cross_keys
from dagfm.encoding.encoder import Encoder, checked, table_counts
from dagfm.encoding.rows import Int64, Rows
from dagfm.encoding.scale import Scale, vectors_of
from dagfm.encoding.sequences import items_of
from dagfm.encoding.texts import texts_of
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.schema import FIRST, MISSING, QUANTILE_BINS, Schema


def build(texts: pl.Series, min_count: int = 1, max_size: int | None = None) -> Vocabulary:
    """The vocabulary of training cells, null where missing."""
    counted = texts.drop_nulls().alias("token").value_counts()
    return Vocabulary.ranked(counted["token"], counted["count"].cast(pl.Int64).to_numpy(), min_count, max_size)


def scale_of(vectors: np.ndarray) -> Scale:
    """Mean and standard deviation of each component, NaN left out."""
    pairs = []
    for component in vectors.T:
        values = component[~np.isnan(component)]
        spread = float(values.std()) if len(values) and values.min() < values.max() else 1.0
        pairs.append((float(values.mean()) if len(values) else 0.0, spread))
    return Scale(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))


def fitted(schema: Schema, frame: pl.DataFrame, origin: str = "rows") -> Encoder:
    """The encoder of training rows, target statistics apart."""
    frame = checked(schema, frame, origin)
    vocabularies, scales, bins = {}, {}, {}
    for field in schema:
        if field.has_vocabulary:
            sharing = {one.source: one for one in schema if field.name in (one.name, one.vocabulary)}
            texts = [_texts(frame, one, origin) for one in sharing.values()]
            vocabularies[field.name] = build(pl.concat(texts), field.min_count, field.max_size)
        elif field.encode == "quantile":
            values = vectors_of(frame[field.source], field, origin)[:, 0]
            bins[field.name] = Bins.fit(np.sort(values[~np.isnan(values)]), field.bins or QUANTILE_BINS)
        elif field.cross is None and not field.is_categorical:
            scales[field.name] = scale_of(vectors_of(frame[field.source], field, origin))
    plain = Schema(fields=tuple(field for field in schema if field.cross is None and not field.is_target))
    rows = Encoder(plain, vocabularies, scales, bins).encode(frame, origin)
    encoder = Encoder(schema, vocabularies, scales, bins)
    crosses: dict[str, Crosses | HashedCrosses] = {}
    for field in schema:
        if field.cross is not None:
            sizes = [encoder.source_rows(schema.named(member)) for member in field.cross]
            keys = cross_keys([rows.tokens[:, plain.ids_column(member)] for member in field.cross], sizes)
            distinct, counts = np.unique(keys[keys >= 0], return_counts=True)
            crosses[field.name] = (
                HashedCrosses(field.hash)
                if field.hash is not None
                else Crosses.ranked(distinct, counts, field.min_count, field.max_size)
            )
    return Encoder(schema, vocabularies, scales, bins, crosses)


def row_counts(rows: Rows, encoder: Encoder) -> Int64:
    """How often every row of the embedding table occurs in encoded rows."""
    by_field, sequences = {}, iter(rows.sequences)
    for field in encoder.schema:
        size = encoder.rows_of(field.name)
        if field.form == "ids":
            by_field[field.name] = np.bincount(rows.tokens[:, encoder.schema.ids_column(field.name)], minlength=size)
        elif field.form == "items":
            by_field[field.name] = np.bincount(next(sequences).values, minlength=size)
        else:
            first = encoder.schema.numbers_column(field.name)
            absent = np.isnan(rows.floats[:, first : first + field.width]).sum(axis=0)
            by_field[field.name] = np.zeros(size, np.int64)
            by_field[field.name][MISSING] = absent.sum()
            by_field[field.name][FIRST:] = len(rows) - absent
    return table_counts(encoder, by_field)


def _texts(frame: pl.DataFrame, field, origin: str) -> pl.Series:
    series = frame[field.source]
    return items_of(series, field, origin).texts if field.form == "items" else texts_of(series, field, origin)
