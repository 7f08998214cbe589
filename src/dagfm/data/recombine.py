"""Rows nobody logged: some fields of one training row, the others of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagfm.data.held_out import HeldOut
from dagfm.data.shuffle import WINDOW, Shuffle
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Indices, Int32, Int64, Ragged, Rows
from dagfm.encoding.statistics import encoded
from dagfm.schema import Field, Schema


@dataclass(frozen=True)
class Recombination:
    """Which training rows m recombined rows are made of, and which of their fields come from where."""

    base: Indices
    """(m,) training rows that give the context fields, or all but one column."""
    donor: Indices
    """(m,) training rows that give the candidate fields, or the one column."""
    column: Indices | None = None
    """(m,) which of ``schema.columns`` the donor gives, with all fields read from it; None: the candidate fields."""

    def __len__(self) -> int:
        return len(self.base)

    def __getitem__(self, slots: slice | Indices) -> Recombination:
        column = None if self.column is None else self.column[slots]
        return Recombination(self.base[slots], self.donor[slots], column)

    @property
    def touched(self) -> Indices:
        """(2m,) the training rows that are read."""
        return np.concatenate([self.base, self.donor])


def recombined(
    rows: Rows,
    encoder: Encoder,
    made_of: Recombination,
    after: Indices | None = None,
    held_out: HeldOut | None = None,
) -> Rows:
    """The recombined rows, behind the rows ``after`` (k,) as they are: (k + m) rows.

    Crosses of fields from both rows are made anew; a statistic of one is what ``held_out`` leaves to the base row, as a
    training row's is, and without it that of a row outside the training rows.
    """
    k = 0 if after is None else len(after)
    base, donor = (
        given if after is None else np.concatenate([after, given]) for given in (made_of.base, made_of.donor)
    )
    schema = encoder.schema
    if made_of.column is None:
        mixed = _sides(rows, schema, base, donor)
        crossed = [(cross, np.arange(k, len(base))) for cross in _between_sides(schema)]
    else:
        column = np.concatenate([np.full(k, -1, made_of.column.dtype), made_of.column])
        mixed = _one_column(rows, schema, base, donor, column)
        crossed = [(cross, np.flatnonzero(np.isin(column, _columns_of(cross, schema)))) for cross in _crosses(schema)]
    for cross, at in crossed:
        _recross(mixed, encoder, cross, at, base[at], held_out)
    return mixed


def _recross(rows: Rows, encoder: Encoder, cross: Field, at: Indices, base: Indices, held_out: HeldOut | None) -> None:
    """Set a cross anew, in place and ``at`` these rows (m,), from its members there; ``base`` (m,): the training rows
    whose folds count."""
    schema = encoder.schema
    ids = encoder.cross_ids(cross, [rows.tokens[at, schema.ids_column(member)] for member in cross.cross or ()])
    if not cross.is_target:
        rows.tokens[at, schema.ids_column(cross.name)] = ids
        return
    statistics = encoder.statistics[cross.name]
    told = statistics.values(ids) if held_out is None else held_out.values(cross.name, statistics, ids, base)
    value = encoded(statistics.form, told)
    if value.ndim == 2:
        first = schema.numbers_column(cross.name)
        rows.floats[at, first : first + cross.width] = value
    else:
        rows.tokens[at, schema.ids_column(cross.name)] = value


def draw_pairs(rows: int, count: int, seed: int, ids: Indices | None = None) -> Iterator[tuple[Indices, Indices]]:
    """``count`` pairs of training rows, one to be the base and one the donor, in runs.

    Both are drawn from all rows where these fit a window of ``Shuffle``, else each run from one window: the rows that
    a batch then reads lie in few pages, and every row is drawn as often as any other. With ``ids`` (rows,) a donor's id
    is drawn first, every one that is there as often as any other.
    """
    shuffle = Shuffle(rows, seed)
    if shuffle.windows == 1:
        random = np.random.default_rng(seed)
        base, donor = random.integers(0, rows, (2, count), dtype=np.int32)
        yield base, donor if ids is None else _of_equal_ids(ids, count, random).astype(np.int32)
        return
    for run in range(-(-count // shuffle.window)):
        nearby = shuffle.nearby(run)
        size = min(shuffle.window, count - run * shuffle.window)
        random = np.random.default_rng([seed, run + 1])
        base, donor = random.integers(0, len(nearby), (2, size))
        yield nearby[base], nearby[donor if ids is None else _of_equal_ids(ids[nearby], size, random)]


def draw_columns(columns: int, count: int, seed: int) -> Iterator[Int32]:
    """``count`` columns, each as likely as any other, in runs."""
    generator = np.random.default_rng(seed)
    for start in range(0, count, WINDOW):
        yield generator.integers(0, columns, min(WINDOW, count - start), dtype=np.int32)


def _of_equal_ids(ids: Indices, count: int, random: np.random.Generator) -> Int64:
    """(count,) places of ``ids``: the id drawn first, then one of its places."""
    order = np.argsort(ids, kind="stable")
    _, starts, times = np.unique(ids[order], return_index=True, return_counts=True)
    drawn = random.integers(0, len(starts), count)
    places: Int64 = order[starts[drawn] + random.integers(0, times[drawn])]
    return places


def _sides(rows: Rows, schema: Schema, base: Indices, donor: Indices) -> Rows:
    """Context fields of the base, candidate fields of the donor.

    A schema orders context fields first, so within tokens, floats and sequences they are the first columns.
    """
    tokens, floats, sequences = _context_columns(schema)
    # take reads whole rows, which is several times faster than an index into a part of the columns.
    mixed_tokens, mixed_floats = np.take(rows.tokens, base, axis=0), np.take(rows.floats, base, axis=0)
    mixed_tokens[:, tokens:] = np.take(rows.tokens, donor, axis=0)[:, tokens:]
    mixed_floats[:, floats:] = np.take(rows.floats, donor, axis=0)[:, floats:]
    mixed_sequences = [
        sequence.take(base if index < sequences else donor) for index, sequence in enumerate(rows.sequences)
    ]
    return Rows(mixed_tokens, mixed_floats, tuple(mixed_sequences))


def _one_column(rows: Rows, schema: Schema, base: Indices, donor: Indices, column: Indices) -> Rows:
    """The base, with the fields that are read from ``column`` (n,) taken from the donor."""

    def cells(array: NDArray[np.generic], sources: list[int]) -> NDArray[np.generic]:
        mixed = np.take(array, base, axis=0)
        np.copyto(mixed, np.take(array, donor, axis=0), where=column[:, None] == np.array(sources, np.int64))
        return mixed

    def items(sequence: Ragged, field: Field) -> Ragged:
        return sequence.take(np.where(column == _source(field, schema), donor, base))

    numbers = [_source(field, schema) for field in schema.of_form("numbers") for _ in range(field.width)]
    tokens = cells(rows.tokens, [_source(field, schema) for field in schema.of_form("ids")])
    floats = cells(rows.floats, numbers)
    pairs = zip(rows.sequences, schema.of_form("items"), strict=True)
    return Rows(tokens, floats, tuple(items(sequence, field) for sequence, field in pairs))  # type: ignore[arg-type]


def _source(field: Field, schema: Schema) -> int:
    """Which of ``schema.columns`` a field is read from; of a cross, which has several, none: -2."""
    return -2 if field.cross is not None else schema.columns.index(field.source)


def _columns_of(cross: Field, schema: Schema) -> list[int]:
    return [_source(schema.named(member), schema) for member in cross.cross or ()]


def _crosses(schema: Schema) -> list[Field]:
    return [field for field in schema if field.cross is not None]


def _between_sides(schema: Schema) -> list[Field]:
    """The crosses of context with candidate fields: the others come whole from one row."""
    return [one for one in _crosses(schema) if len({schema.named(member).side for member in one.cross or ()}) == 2]


def _context_columns(schema: Schema) -> tuple[int, int, int]:
    """How many columns of tokens, floats and sequences belong to context fields."""
    fields: tuple[Field, ...] = schema.fields[: schema.context_size]
    return (
        sum(field.form == "ids" for field in fields),
        sum(field.width for field in fields if field.form == "numbers"),
        sum(field.form == "items" for field in fields),
    )
