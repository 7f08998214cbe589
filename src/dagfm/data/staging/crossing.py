"""Crosses over rows that are already encoded: which combinations the training rows hold, and every row's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagfm.data.mapped import blocks, created, mapped
from dagfm.data.split import PARTS
from dagfm.data.staging.assemble import source_file
from dagfm.encoding.crosses import NONE, Crosses, HashedCrosses, check_sizes, cross_keys
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64
from dagfm.schema import Field


def learn_cross(encoder: Encoder, field: Field, directory: Path, folder: Path) -> Crosses | HashedCrosses:
    """The combinations of ``field``'s members in the training rows of ``directory``; ``folder`` is room to work in."""
    assert field.cross is not None, "asked for crosses"
    sizes = [encoder.source_rows(encoder.schema.named(member)) for member in field.cross]
    check_sizes(field.name, sizes)
    if field.hash is not None:
        return HashedCrosses(field.hash)
    tokens = mapped(directory / "train" / "tokens.npy")
    keys = created(folder / "keys.npy", np.int64, (len(tokens),))
    for block in blocks(len(tokens)):
        keys[block] = _keys(encoder, field, sizes, tokens[block])
    keys.sort()  # in the file, whose pages the system may drop
    distinct, counts = runs(keys, field.min_count)
    return Crosses.ranked(distinct, counts, field.min_count, field.max_size)


def write_cross(encoder: Encoder, field: Field, directory: Path, folder: Path) -> Int64:
    """Write the row ids of a cross into the rows of ``directory``, or beside them where a statistic is made of them;
    returns how often each occurs in the training rows."""
    assert field.cross is not None, "asked for crosses"
    sizes = [encoder.source_rows(encoder.schema.named(member)) for member in field.cross]
    cross = encoder.crosses[field.name]
    counts = np.zeros(cross.rows, np.int64)
    for part in PARTS:
        tokens = mapped(directory / part / "tokens.npy", writable=True)
        if field.is_target:
            out = created(source_file(folder, part, encoder.schema, field.name), np.int32, (len(tokens),))
        else:
            out = tokens[:, encoder.schema.ids_column(field.name)]
        for block in blocks(len(tokens)):
            ids = cross.encode(_keys(encoder, field, sizes, tokens[block]))
            out[block] = ids
            if part == "train":
                counts += np.bincount(ids, minlength=cross.rows)
    return counts


def runs(ordered: Int64, least: int) -> tuple[Int64, Int64]:
    """The distinct values of ``ordered`` (n,), ascending, that stand there ``least`` times or more, and how often;
    ``NONE`` is no value."""
    values: list[Int64] = []
    counts: list[Int64] = []
    open_value, open_count = NONE, 0
    for block in blocks(len(ordered)):
        part = ordered[block]
        starts = np.flatnonzero(np.append(True, part[1:] != part[:-1]))
        here, often = part[starts], np.diff(np.append(starts, len(part)))
        if here[0] == open_value:
            often[0] += open_count
        elif open_count:
            here, often = np.append(open_value, here), np.append(open_count, often)
        open_value, open_count = int(here[-1]), int(often[-1])
        _keep(values, counts, here[:-1], often[:-1], least)
    _keep(values, counts, np.array([open_value]), np.array([open_count]), least)
    return np.concatenate(values), np.concatenate(counts)


def _keep(values: list[Int64], counts: list[Int64], here: Int64, often: Int64, least: int) -> None:
    kept = (often >= least) & (here != NONE)
    values.append(here[kept].astype(np.int64))
    counts.append(often[kept].astype(np.int64))


def _keys(encoder: Encoder, field: Field, sizes: list[int], tokens: NDArray[np.int32]) -> Int64:
    members = field.cross or ()
    return cross_keys([tokens[:, encoder.schema.ids_column(member)] for member in members], sizes)
