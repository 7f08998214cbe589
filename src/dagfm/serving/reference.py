"""What rows looked like where a bundle was made, to be compared with what it is asked to score.

Every field, and the scores, are cut into bins: the most frequent values and all others, or quantiles of the numbers. A
``Reference`` says which bins, and which share of the rows is in each; ``tally`` counts any rows by the same bins.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator
from pydantic import Field as Limited

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.readable import value_of
from dagfm.encoding.rows import Float32, Indices, Rows
from dagfm.metrics import Float64
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field, Schema

TOP = 20
"""Values of a field that are told apart."""
NUMBERS, SCORES = 10, 20
"""Bins of numbers and of scores."""
WIDEST = 16
"""Numbers of a float_seq that are looked at, the first ones."""
_LONGEST = 100
"""Characters of a value that are told."""

Cells = NDArray[np.int32] | NDArray[np.float32]
Weights = Float64 | Float32
Count = Annotated[int, Limited(ge=0, lt=1 << 63)]
Share = Annotated[float, Limited(ge=0)]
Column = tuple[Cells, Indices | None]
"""A field's cells (n,), and the row (n,) that each is of; None where cell i is of row i."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    cells: Count
    """How many there were."""

    @property
    def shares(self) -> tuple[float, ...]:
        """Of the cells, in each bin."""
        raise NotImplementedError

    def places(self, cells: Cells) -> Indices:
        """The bin (n,) of each of the cells (n,)."""
        raise NotImplementedError

    def counts(self, column: Column, weights: Weights | None = None) -> Float64:
        """(bins,) how many cells are in each bin; ``weights`` (rows,) are how many rows each stands for."""
        cells, rows = column
        amounts = weights if weights is None or rows is None else weights[rows]
        return np.bincount(self.places(cells), amounts, len(self.shares)).astype(np.float64)


class Values(_Part):
    """The values of a field that become row ids."""

    unknown: Share
    missing: Share
    rest: Share
    """The share of all known values but the top ones."""
    rows: tuple[Count, ...]
    """Row ids of the most frequent known values, within the field."""
    names: tuple[str, ...]
    """What they are called."""
    top: tuple[Share, ...]
    """The share of each."""

    @model_validator(mode="after")
    def _are_as_many(self) -> Self:
        if not len(self.rows) == len(self.names) == len(self.top):
            raise ValueError(f"{len(self.rows)} rows, {len(self.names)} names and {len(self.top)} shares of top values")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """As of ``_Part``: unknown, missing, the rest, the top values."""
        return self.unknown, self.missing, self.rest, *self.top

    def places(self, cells: Cells) -> Indices:
        """As of ``_Part``."""
        rows, places = self._sorted
        ids = cells.astype(np.int64)
        found = np.minimum(np.searchsorted(rows, ids), len(rows) - 1)
        known: Indices = np.where(rows[found] == ids, places[found], 2)
        return np.where(ids < FIRST, ids, known)

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows ascending and their bins; row 0, which is of no top value, where there are none."""
        rows = np.array(self.rows or (UNKNOWN,), np.int64)
        order = np.argsort(rows)
        return rows[order], order + 3


class Numbers(_Part):
    """The numbers of a field, or the scores."""

    missing: Share
    edges: tuple[float, ...]
    """Ascending; the first bin holds numbers up to the first edge, the last those above the last one."""
    bins: tuple[Share, ...]
    """The share in each, one more than edges."""

    @model_validator(mode="after")
    def _are_between_the_edges(self) -> Self:
        if len(self.bins) != len(self.edges) + 1:
            raise ValueError(f"{len(self.bins)} bins, expected one more than the {len(self.edges)} edges")
        return self

    @property
    def shares(self) -> tuple[float, ...]:
        """As of ``_Part``: missing, then the bins."""
        return self.missing, *self.bins

    def places(self, cells: Cells) -> Indices:
        """As of ``_Part``."""
        numbers = cells.astype(np.float64)
        found: Indices = np.where(np.isnan(numbers), 0, np.searchsorted(self.edges, numbers) + 1)
        return found


class Reference(BaseModel):
    """The distributions of one bundle's fields and scores."""

    model_config = ConfigDict(frozen=True)

    rows: Count
    """How many rows they are of."""
    scores: Numbers
    """Of the bundle's own probabilities."""
    fields: dict[str, Values | tuple[Numbers, ...]]
    """By field; of numbers as they are encoded, standardised, one for each of the field's numbers."""

    def check(self, schema: Schema) -> None:
        """Raise ValueError where a field is none of the schema's, or has other cells there."""
        for name, found in self.fields.items():
            if name not in schema.names:
                raise ValueError(f"tells of '{name}', which is no field")
            field = schema.named(name)
            numbers = min(field.width, WIDEST) if field.form == "numbers" else None
            if numbers != (len(found) if isinstance(found, tuple) else None):
                raise ValueError(f"tells of other cells than field '{name}' has")

    def parts(self) -> Iterator[tuple[str | None, Values | Numbers]]:
        """Everything that has bins, in the order of ``tally``, with its field; the scores, with none, come first."""
        yield None, self.scores
        for name, found in self.fields.items():
            for part in found if isinstance(found, tuple) else (found,):
                yield name, part

    def split(self, tallied: Float64) -> list[Float64]:
        """What ``tally`` gave, cut into the counts of each of ``parts``."""
        sizes = [len(part.shares) for _, part in self.parts()]
        return np.split(tallied, np.cumsum(sizes)[:-1])


def tally(reference: Reference, schema: Schema, rows: Rows, scores: Float32, weights: Weights | None = None) -> Float64:
    """How many cells of encoded rows (n) and how many of their probabilities (n,) are in each bin of ``reference``."""
    found = [reference.scores.counts((scores, None), weights)]
    for name, parts in reference.fields.items():
        columns = _columns(schema, schema.named(name), rows)
        each = parts if isinstance(parts, tuple) else (parts,)
        found += [part.counts(column, weights) for part, column in zip(each, columns, strict=False)]
    return np.concatenate(found)


def reference_of(encoder: Encoder, rows: Rows, scores: Float32, weights: Weights | None = None) -> Reference:
    """The distributions of encoded rows (n) and their probabilities (n,); ``weights`` (n,) are how many rows of the log
    each stands for. The same for equal arguments."""
    amounts = np.ones(len(rows)) if weights is None else weights.astype(np.float64)
    fields: dict[str, Values | tuple[Numbers, ...]] = {}
    for field in encoder.schema:
        columns = _columns(encoder.schema, field, rows)
        if field.form == "numbers":
            fields[field.name] = tuple(_numbers(column, amounts, NUMBERS) for column in columns)
        else:
            fields[field.name] = _values(encoder, field, columns[0], amounts)
    # Other processors round the last digits otherwise, so a boundary lies a little above the score that it is.
    rounded = [float(f"{one * (1 + 6e-6):.6g}") for one in _edges(scores.astype(np.float64), amounts, SCORES)]
    return Reference(
        rows=len(rows), scores=_counted_numbers((scores, None), amounts, np.unique(rounded)), fields=fields
    )


def _columns(schema: Schema, field: Field, rows: Rows) -> list[Column]:
    """The cells of a field: one column, or one for each of its numbers."""
    if field.form == "ids":
        return [(rows.tokens[:, schema.ids_column(field.name)], None)]
    if field.form == "items":
        sequence = rows.sequences[schema.of_form("items").index(field)]
        return [(sequence.values, np.repeat(np.arange(len(rows)), np.diff(sequence.offsets)))]
    start = schema.numbers_column(field.name)
    return [(rows.floats[:, start + index], None) for index in range(min(field.width, WIDEST))]


def _values(encoder: Encoder, field: Field, column: Column, weights: Float64) -> Values:
    cells, rows = column
    ids, places = np.unique(cells, return_inverse=True)
    counts = np.bincount(places, weights if rows is None else weights[rows], len(ids))
    known = np.flatnonzero(ids >= FIRST)
    best = known[np.lexsort((ids[known], -counts[known]))][:TOP]
    top = [int(row) for row in ids[best]]
    total = float(counts.sum()) or 1.0
    return Values(
        cells=len(cells),
        unknown=_share(counts[ids == UNKNOWN].sum(), total),
        missing=_share(counts[ids == MISSING].sum(), total),
        rest=_share(counts[known].sum() - counts[best].sum(), total),
        rows=tuple(top),
        names=tuple(_name(encoder, field, row) for row in top),
        top=tuple(_share(count, total) for count in counts[best]),
    )


def _share(part: float, total: float) -> float:
    return round(float(part / total), 9)


def _name(encoder: Encoder, field: Field, row: int) -> str:
    """What a reader calls the value; of a hash, a cross and a range of click rates that is its row."""
    if field.hash is not None or field.cross is not None or field.is_target:
        return f"row {row}"
    return value_of(encoder, field.name, row)[:_LONGEST]


def _numbers(column: Column, weights: Float64, bins: int) -> Numbers:
    cells = column[0].astype(np.float64)
    there = ~np.isnan(cells)
    return _counted_numbers(column, weights, _edges(cells[there], weights[there], bins))


def _counted_numbers(column: Column, weights: Float64, edges: Float64) -> Numbers:
    part = Numbers(cells=len(column[0]), missing=0.0, edges=tuple(edges.tolist()), bins=(0.0,) * (len(edges) + 1))
    counts = part.counts(column, weights)
    shares = tuple(_share(count, counts.sum() or 1.0) for count in counts)
    return part.model_copy(update={"missing": shares[0], "bins": shares[1:]})


def _edges(numbers: Float64, weights: Float64, bins: int) -> Float64:
    """Different quantiles (at most ``bins`` - 1,) of numbers (n,), each one of them; none of no numbers."""
    if not len(numbers):
        return np.zeros(0)
    order = np.argsort(numbers, kind="stable")
    below = np.cumsum(weights[order])
    wanted = below[-1] * np.arange(1, bins) / bins
    found: Float64 = np.unique(numbers[order[np.minimum(np.searchsorted(below, wanted), len(order) - 1)]])
    return found
