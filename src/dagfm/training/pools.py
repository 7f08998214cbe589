"""Rows that nobody logged: how many a run has, what each is made of, and the rows themselves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dagfm.config import Config
from dagfm.data.array_files import write_column
from dagfm.data.dataset import Dataset
from dagfm.data.prefetch import prefetch
from dagfm.data.recombine import Recombination, draw_columns, draw_pairs, recombined
from dagfm.data.shuffle import WINDOW
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Indices, Rows
from dagfm.training.scoring import CHUNK
from dagfm.training.workshop import Workshop

SIDES = ("pool-context", "pool-candidate")
"""Columns of a pool whose rows take their context fields from one training row and their candidate fields from another.
"""
FIELDS = ("pool-base", "pool-donor", "pool-column")
"""Columns of a pool whose rows take one column's fields from another training row."""


def pool_rows(shop: Workshop) -> int:
    """How many recombined rows there are: so many a training row and planned epoch, up to the cap."""
    if shop.config.recombination is None:
        return 0
    how = shop.config.distillation
    epochs = int(shop.distillation.epochs)
    return max(1, min(round(how.recombined * epochs * len(shop.prepared.train)), how.recombined_cap))


def kind_of_pool(config: Config) -> dict[str, Any]:
    """What is not as in all pools before there were several kinds."""
    kind: dict[str, Any] = {"pool": "fields"} if config.recombination == "fields" else {}
    if config.extra_fields:
        kind["fields"] = config.student_schema.names
    return kind if config.distillation.recombined_from == "popularity" else {**kind, "recombined from": "uniform"}


def draw(shop: Workshop, directory: Path, count: int) -> tuple[str, ...]:
    """Draw what the rows of the pool are made of into files, and return their names."""
    rows = len(shop.prepared.train)
    columns = shop.config.schema_.columns
    # What the students do not see goes with the rest of its row.
    seen = np.flatnonzero([column in shop.config.student_schema.columns for column in columns]).astype(np.int32)
    names = SIDES if shop.config.recombination == "sides" else FIELDS
    # No teacher's name in the seed: students of different teachers are compared on the same recombined rows.
    seed = shop.seed_of("recombined rows")
    index = np.int32 if rows <= np.iinfo(np.int32).max else np.int64
    ids = _candidate_ids(shop)
    for part in range(2):
        drawn = (pair[part] for pair in draw_pairs(rows, count, seed, ids))
        write_column(directory / f"{names[part]}.npy", index, count, drawn)
    if names == FIELDS:
        drawn_columns = (seen[one] for one in draw_columns(len(seen), count, shop.seed_of("recombined columns")))
        write_column(directory / f"{FIELDS[2]}.npy", np.int32, count, drawn_columns)
    return names


def _candidate_ids(shop: Workshop) -> Indices | None:
    """(n,) the candidate's id in every training row, by the field that has most of them; None if popularity counts."""
    if shop.config.distillation.recombined_from == "popularity":
        return None
    encoder = shop.prepared.encoder
    field = max(shop.config.student_schema.candidate_ids, key=encoder.source_rows)
    return shop.prepared.train.rows.tokens[:, encoder.schema.ids_column(field.name)]


def recombined_chunks(train: Dataset, encoder: Encoder, made_of: Recombination) -> Iterator[Rows]:
    """The rows of the pool, ``CHUNK`` at a time."""
    rows = train.rows
    for start in range(0, len(made_of), CHUNK):
        if start % WINDOW == 0 and len(rows) > WINDOW:
            prefetch(rows, made_of[start : start + WINDOW].touched)
        yield recombined(rows, encoder, made_of[start : start + CHUNK], held_out=train.held_out)
