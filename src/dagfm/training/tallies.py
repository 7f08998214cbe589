"""Clicks and rows of every value, or combination of values, in the training rows: what boosted trees see of ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Literal

import numpy as np

from dagfm.data.dataset import Dataset
from dagfm.encoding.crosses import NONE, check_sizes, cross_keys
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Int64, Rows
from dagfm.encoding.values import Float64
from dagfm.errors import InputError, listed, suggestion
from dagfm.schema import Schema

PAIRS = 20
"""At most so many pairs are chosen."""
SMOOTHING = 20.0
"""How many rows of the average click rate every combination starts with."""


@dataclass(frozen=True, eq=False)
class Tally:
    """Clicks and rows of every combination of some fields' row ids that the training rows hold."""

    fields: tuple[str, ...]
    sizes: tuple[int, ...]
    """Row ids that each of the fields can have."""
    keys: Int64
    """(v,) the combinations by ``cross_keys``, ascending."""
    clicks: Float64
    """(v,) weighted where the rows are."""
    rows: Float64
    """(v,)"""
    prior: float
    """Click rate of the training rows."""

    @classmethod
    def of(
        cls, fields: tuple[str, ...], train: Dataset, encoder: Encoder, folds: Indices, count: int
    ) -> tuple[Tally, Float32]:
        """The tally of all training rows (n), and for each of them the smoothed values (n, 2) that the other folds
        give; ``folds`` (n,) are numbers below ``count``. A row's own label changes nothing in its values."""
        sizes = source_sizes(fields, encoder)
        keys, place = np.unique(_keys(train.rows, fields, sizes, encoder.schema), return_inverse=True)
        amount = np.ones(len(train)) if train.weights is None else np.asarray(train.weights, np.float64)
        clicked = amount * train.labels
        known = (keys != NONE)[:, None]  # an unknown id says nothing of another one

        def of_others(of_row: Float64) -> tuple[Float64, Float64, Float64]:
            """Sums over each key (v,), and for every row (n,) over the other folds: of its key, and of all keys."""
            cells = np.bincount(place * count + folds, of_row, len(keys) * count).reshape(-1, count) * known
            whole = cells.sum(axis=1)
            rest = np.maximum(whole[:, None] - cells, 0.0)
            return whole, rest[place, folds], (of_row.sum() - np.bincount(folds, of_row, count))[folds]

        clicks, clicks_elsewhere, all_clicks = of_others(clicked)
        rows, rows_elsewhere, all_rows = of_others(amount)
        prior = np.divide(all_clicks, all_rows, out=np.full(len(train), 0.5), where=all_rows > 0)
        whole = cls(fields, sizes, keys, clicks, rows, float(clicked.sum() / amount.sum()))
        return whole, _smoothed(clicks_elsewhere, rows_elsewhere, prior)

    def values(self, rows: Rows, schema: Schema) -> Float32:
        """smoothed values (B, 2) of B rows that are no training rows; never seen: the prior, and no rows."""
        keys = _keys(rows, self.fields, self.sizes, schema)
        place = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        found = self.keys[place] == keys
        clicks, count = (np.where(found, of_key[place], 0.0) for of_key in (self.clicks, self.rows))
        return _smoothed(clicks, count, self.prior)


def source_sizes(fields: Sequence[str], encoder: Encoder) -> tuple[int, ...]:
    """Row ids that each of some fields can have; raises InputError where their combinations cannot be numbered."""
    sizes = tuple(encoder.source_rows(encoder.schema.named(name)) for name in fields)
    check_sizes(" x ".join(fields), sizes)
    return sizes


def tallied_fields(
    chosen: Literal["auto"] | Sequence[str | tuple[str, ...]], encoder: Encoder, rows: int
) -> list[tuple[str, ...]]:
    """The fields, and combinations of fields, that are tallied over ``rows`` training rows.

    Raises InputError naming ``statistics`` for a field that is none, or has not one id a row.
    """
    schema = encoder.schema
    valid = [field.name for field in schema.of_form("ids") if not field.is_target]
    if chosen == "auto":
        return [(name,) for name in valid] + _pairs(valid, encoder, rows)
    asked = [(one,) if isinstance(one, str) else tuple(one) for one in chosen]
    for names in asked:
        for name in names:
            if name not in valid:
                raise InputError(
                    f"teacher: 'statistics' names '{name}', expected fields of one id a row: {listed(valid)}."
                    f"{suggestion(name, valid)}"
                )
    return asked


def _pairs(names: Sequence[str], encoder: Encoder, rows: int) -> list[tuple[str, ...]]:
    """The finest pairs of fields that have a training row or more a combination."""
    schema = encoder.schema
    plain = [name for name in names if schema.named(name).cross is None]
    context = [name for name in plain if schema.named(name).side == "context"]
    candidate = [name for name in plain if schema.named(name).side == "candidate"]
    pairs: list[tuple[str, ...]] = [*(product(context, candidate) if schema.has_sides else combinations(plain, 2))]

    def cells(pair: tuple[str, ...]) -> int:
        return math.prod(encoder.source_rows(schema.named(name)) for name in pair)

    return sorted((pair for pair in pairs if cells(pair) <= rows), key=cells, reverse=True)[:PAIRS]


def _keys(rows: Rows, fields: Sequence[str], sizes: Sequence[int], schema: Schema) -> Int64:
    return cross_keys([rows.tokens[:, schema.ids_column(name)] for name in fields], sizes)


def _smoothed(clicks: Float64, rows: Float64, prior: float | Float64) -> Float32:
    """Log-odds of the smoothed click rate, kept off 0 and 1 by one millionth, and ln(1 + rows), (n, 2)."""
    rate = np.clip((clicks + SMOOTHING * prior) / (rows + SMOOTHING), 1e-6, 1.0 - 1e-6)
    return np.stack([np.log(rate / (1.0 - rate)), np.log1p(rows)], axis=1).astype(np.float32)
