"""Ids that are often the same row after row, alone or in pairs: do they determine the label?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from dagfm.data.describe.column import Described
from dagfm.data.describe.rows import Rows, UInt64, scattered
from dagfm.data.describe.sketch import Sketch
from dagfm.data.staging.codings import factorized
from dagfm.data.staging.plan import plain
from dagfm.encoding.texts import texts_of
from dagfm.encoding.values import Float64

IDS = 4
"""Fields of the most values whose pairs are looked at."""
_NEARLY_UNIQUE = 0.9
_FEW = 10


@dataclass(frozen=True, eq=False)
class Combination:
    """Several fields together: a cross of the configuration, or a pair that may determine the label."""

    name: str
    members: tuple[str, ...]
    sketch: Sketch
    configured: bool = False

    def add(self, keys: dict[str, UInt64], rows: Rows) -> None:
        """Add rows by their members' hashes (n,)."""
        together = keys[self.members[0]]
        for name in self.members[1:]:
            together = scattered(together) + keys[name]
        together = scattered(together)
        kept = self.sketch.kept(together)
        distinct, codes = np.unique(together[kept], return_inverse=True)
        self.sketch.add(distinct, rows.take(kept).sums(codes, len(distinct)))


def pairs_worth_a_look(fields: list[Described], rows: int, asked: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Pairs of the ids with the most values, those apart that hardly come twice, or are a handful unless ``asked``."""
    ids = [
        one
        for one in fields
        if one.reading == "ids" and one.values is not None and one.field.encode is None and one.field.cross is None
    ]
    counts = {one.field.name: one.values.sketch.distinct for one in ids if one.values is not None}
    fit = [
        name for name, count in counts.items() if count <= _NEARLY_UNIQUE * rows and (count >= _FEW or name in asked)
    ]
    fit = sorted(fit, key=lambda name: (name not in asked, -counts[name]))[:IDS]
    ordered = [name for name in counts if name in fit]
    return [(a, b) for index, a in enumerate(ordered) for b in ordered[index + 1 :]]


def row_keys(described: Described, column: pa.ChunkedArray, origin: str) -> UInt64:
    """A hash (n,) of every cell's value; missing is a value, too."""
    if described.whole:
        return plain(column).cast(pl.Int64).hash().to_numpy()
    codes, distinct = factorized(column)
    texts = texts_of(distinct.alias(described.field.source), described.field, origin)
    missing = pl.Series([None], dtype=pl.String)
    keys: UInt64 = pl.concat([texts.cast(pl.String), missing]).hash().to_numpy()[codes]
    return keys


def repetition(sums: Float64, scale: float, rows: int) -> dict[str, Any] | None:
    """How far the label of a row is that of the other rows with the same value, from sums (values, 7) without weights.

    ``repeated``: share of the ``rows`` rows whose value has others; ``same``: how often one of these others, drawn at
    random, has the same label; ``by_chance``: the same for any two rows of those; ``determined`` = (same - by_chance) /
    (1 - by_chance), 0 where the value says nothing, 1 where it says all. None where no value comes twice.
    """
    counts, clicks = sums[:, :3].sum(axis=1), sums[:, 5:].sum(axis=1)
    again = counts > 1
    counts, clicks = counts[again], clicks[again]
    total = float(counts.sum())
    if not total or not rows:
        return None
    others = counts - clicks
    alike = (clicks * (clicks - 1) + others * (others - 1)) / (counts - 1)
    same = float(alike.sum()) / total
    rate = float(clicks.sum()) / total
    by_chance = rate * rate + (1 - rate) * (1 - rate)
    return {
        "repeated": min(1.0, total / scale / rows),
        "same": same,
        "by_chance": by_chance,
        "determined": (same - by_chance) / (1 - by_chance) if by_chance < 1 else None,
    }
