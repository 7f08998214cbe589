"""The one encoder: fitted on training rows, used by preparation and by serving alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import polars as pl

from dagfm.encoding.bins import Bins
from dagfm.encoding.crosses import Crosses, HashedCrosses, cross_keys
from dagfm.encoding.hashing import hashed
from dagfm.encoding.rows import Float32, Indices, Int32, Int64, Ragged, Rows
from dagfm.encoding.scale import Scale, vectors_of
from dagfm.encoding.sequences import items_of, ragged
from dagfm.encoding.spans import Spans
from dagfm.encoding.statistics import Statistics
from dagfm.encoding.texts import texts_of
from dagfm.encoding.values import numbers
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.errors import InputError, listed, suggestion
from dagfm.schema import FIRST, Field, Schema


@dataclass(frozen=True, eq=False)
class Parts:
    """Encoded columns of n rows, by their field's name."""

    ids: dict[str, Int32] = field(default_factory=dict)
    """(n,) each."""
    floats: dict[str, Float32] = field(default_factory=dict)
    """(n, width) each."""
    sequences: dict[str, Ragged] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Encoder:
    """From raw rows to row ids and standardised numbers, one row at a time in meaning, a column at a time in fact.

    Each mapping holds what one kind of field has learned from the training rows, by the field's name.
    """

    schema: Schema
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    """For each field with a vocabulary of its own."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    """For each float and float_seq field whose numbers stay numbers."""
    bins: Mapping[str, Bins] = field(default_factory=dict)
    """For each field with ``encode: quantile``."""
    crosses: Mapping[str, Crosses | HashedCrosses] = field(default_factory=dict)
    """For each cross."""
    statistics: Mapping[str, Statistics] = field(default_factory=dict)
    """For each field with ``encode: target``."""

    def encode(self, frame: pl.DataFrame, origin: str = "rows") -> Rows:
        """Encode a table (n rows); columns that are no field are ignored, a row never changes another row's result.

        Raises InputError naming ``origin`` and the field for a missing column, and the row for text in a float field.
        """
        frame = checked(self.schema, frame, origin)
        parts = Parts()
        for one in self.schema:
            if one.cross is None:
                self.encode_column(one, frame[one.source], origin, parts)
        return self.assembled(parts, frame.height)

    def encode_column(self, one: Field, series: pl.Series, origin: str, to: Parts) -> None:
        """Encode the column (n,) of a field that is no cross, as ``encode`` does."""
        if one.form == "items":
            items = items_of(series, one, origin)
            to.sequences[one.name] = ragged(items.lengths, self.text_ids(one, items.texts))
        elif one.form == "numbers" and not one.is_target:
            to.floats[one.name] = self.scales[one.name].apply(vectors_of(series, one, origin))
        elif one.name in self.bins:
            to.ids[one.name] = self.bins[one.name].encode(numbers(series, origin))
        else:
            to.ids[one.name] = self.text_ids(one, texts_of(series, one, origin))

    def assembled(self, parts: Parts, n: int) -> Rows:
        """The n encoded rows of their fields; adds those that are made of other fields' row ids."""
        found = parts.ids
        for one in self.schema:
            if one.cross is not None:
                found[one.name] = self.cross_ids(one, [found[member] for member in one.cross])
        for name, statistics in self.statistics.items():
            value = statistics.encode(found[name])
            if value.ndim == 2:
                parts.floats[name] = value  # type: ignore[assignment]
            else:
                found[name] = value  # type: ignore[assignment]
        tokens = [found[one.name] for one in self.schema.of_form("ids")]
        vectors = [parts.floats[one.name] for one in self.schema.of_form("numbers")]
        return Rows(
            np.stack(tokens, axis=1) if tokens else np.zeros((n, 0), np.int32),
            np.concatenate(vectors, axis=1) if vectors else np.zeros((n, 0), np.float32),
            tuple(parts.sequences[one.name] for one in self.schema.of_form("items")),
        )

    def text_ids(self, one: Field, texts: pl.Series) -> Int32:
        """Row ids (n,) of the token texts (n,) String of a field that has no cross."""
        if one.hash is not None:
            return hashed(texts, one.hash)
        return self.vocabulary_of(one).encode(texts)

    def cross_ids(self, one: Field, members: list[Indices]) -> Int32:
        """Row ids (n,) of a cross from its members' row ids, each (n,)."""
        sizes = [self.source_rows(self.schema.named(member)) for member in one.cross or ()]
        return self.crosses[one.name].encode(cross_keys(members, sizes))

    def vocabulary_of(self, one: Field) -> Vocabulary:
        """The vocabulary of a field, its own or the one it shares."""
        return self.vocabularies[one.vocabulary or one.name]

    def source_rows(self, one: Field) -> int:
        """Row ids that the value of a field can have, before a target statistic is made of it."""
        if one.cross is not None:
            return self.crosses[one.name].rows
        if one.name in self.bins:
            return self.bins[one.name].rows
        return FIRST + one.hash if one.hash is not None else self.vocabulary_of(one).rows

    def rows_of(self, name: str) -> int:
        """Rows of a field's embedding: its row ids, or 2 + width for numbers (row 0 unused, 1 missing)."""
        one = self.schema.named(name)
        if one.form == "numbers":
            return FIRST + one.width
        if one.is_target:
            form = self.statistics[name].form
            assert not isinstance(form, Scale), "of numbers, which were asked for above"
            return form.rows
        return self.source_rows(one)

    @cached_property
    def spans(self) -> Spans:
        """Where each field's rows lie in the embedding table."""
        starts: dict[str, int] = {}
        sizes, total = [], 0
        for one in self.schema:
            sizes.append(self.rows_of(one.name))
            if one.vocabulary is None or one.is_target:
                starts[one.name] = total
                total += sizes[-1]
        for one in self.schema:
            if one.name not in starts:
                starts[one.name] = starts[str(one.vocabulary)]
        ordered = np.array([starts[name] for name in self.schema.names], np.int64)
        return Spans(ordered, np.array(sizes, np.int64))


def checked(schema: Schema, frame: pl.DataFrame, origin: str, without: Collection[str] = ()) -> pl.DataFrame:
    """The table, if it has every column but those of ``without``.

    An empty list has no columns and is zero rows of any schema.
    """
    columns = frame.columns  # a new list each time
    if not columns:
        return pl.DataFrame({name: [] for name in schema.columns}, schema=dict.fromkeys(schema.columns, pl.Null))
    check_columns(schema, columns, origin, without)
    return frame


def check_columns(schema: Schema, columns: list[str], origin: str, without: Collection[str] = ()) -> None:
    """Raise InputError naming all fields whose column is none of ``columns``, nor of ``without``."""
    there = {*columns, *without}
    own: dict[str, Field] = {}
    for one in schema:
        if one.cross is None:
            own.setdefault(one.source, one)  # several may read one column
    missing = [one for one in own.values() if one.source not in there]
    if not missing:
        return
    what = listed(
        f"field '{one.name}'" if one.source == one.name else f"column '{one.source}' of field '{one.name}'"
        for one in missing
    )
    # A column that is another field's own is no misspelling.
    spare = [name for name in columns if name not in own]
    near = "".join(dict.fromkeys(suggestion(one.source, spare) for one in missing))
    verb = "is" if len(missing) == 1 else "are"
    raise InputError(f"{origin}: {what} {verb} missing; columns found: {listed(columns)}.{near}")


def table_counts(encoder: Encoder, by_field: Mapping[str, Int64]) -> Int64:
    """(table rows,) int64: how often every embedding row occurs, from every field's own counts (rows of the field,)."""
    counts = np.zeros(encoder.spans.total, np.int64)
    for node, name in enumerate(encoder.schema.names):
        counts[encoder.spans.slice_of(node)] += by_field[name]
    return counts
