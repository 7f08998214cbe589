"""Target statistics without leaks: training rows are told the clicks of other rows, all others those of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagfm.data.held_out import HeldOutWriter
from dagfm.data.mapped import blocks, created, mapped
from dagfm.data.split import PARTS
from dagfm.data.staging.assemble import source_file
from dagfm.data.staging.fitting import mean_and_std
from dagfm.encoding.beta import Beta
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Int32, Int64
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import NOTHING, Grid, Statistics, encoded, told
from dagfm.encoding.values import Float64
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field

FOLDS = 20
"""Random folds: a row's statistic is of the others. With few of them, many more training than held-out rows would be
missing, and counts lower; folds of one row would tell its label to whoever knows the whole."""
TIME_FOLDS = 50
"""Folds in time: a row's statistic is of those before its own."""
STEPS = 12
"""Powers of two of the count that cells tell apart, at most: from 2,048 rows on a rate is known."""


@dataclass(frozen=True, eq=False)
class Folds:
    """The training rows' folds, and how one is told of others."""

    of_row: NDArray[np.uint8]
    """(n,)."""
    in_time: bool
    """Whether only earlier folds count."""

    @property
    def count(self) -> int:
        """How many folds there are."""
        return TIME_FOLDS if self.in_time else FOLDS


def make_folds(rows: int, times: Float64 | None, seed: int, folder: Path) -> Folds:
    """Folds of ``rows`` training rows: at random, or where ``times`` (rows,) are given, equally many from one time on.

    Rows of one time are in one fold: what happens at once cannot be known of each other.
    """
    of_row = created(folder / "folds.npy", np.uint8, (rows,))
    if times is None:
        random = np.random.default_rng([seed, FOLDS])
        for block in blocks(rows):
            of_row[block] = random.integers(0, FOLDS, len(of_row[block]), dtype=np.uint8)
        return Folds(of_row, in_time=False)
    ordered = created(folder / "times-in-order.npy", np.float64, (rows,))
    ordered[:] = times
    ordered.sort()
    limits = np.unique(ordered[np.arange(1, TIME_FOLDS) * rows // TIME_FOLDS])
    for block in blocks(rows):
        of_row[block] = np.searchsorted(limits, times[block], side="right")
    return Folds(of_row, in_time=True)


def learn_target(
    field: Field,
    ids: Int32,
    clicks: Float32,
    weights: Float32 | None,
    folds: Folds,
    size: int,
    folder: Path,
    tables: Path | None = None,
) -> tuple[Statistics, Float64]:
    """The statistic of ``field`` from the source ids, labels and weights of the training rows, each (n,), and the
    training rows' own ``told`` values (2, n), out of fold. ``size``: how many source ids there are; ``tables``: where
    what each fold holds is written, see ``HeldOut``."""
    values = created(folder / "target.npy", np.float64, (2, len(ids)))
    smoothing = field.smoothing
    clicked, counted, prior = out_of_fold(ids, clicks, weights, folds, size, smoothing, values, folder, tables)
    if field.bins is None:
        # Log-odds stay as they are: a mean and a deviation of theirs would know every row's label.
        mean, std = mean_and_std(values[1])
        form: Scale | Grid = Scale((0.0, mean), (1.0, std))
    else:
        most = float(counted.max(initial=1.0))
        form = Grid(field.bins, min(STEPS, int(np.log2(max(most, 1.0)) + 1e-9) + 1))
    return Statistics(clicked, counted, prior, form), values


def out_of_fold(
    ids: Int32,
    clicks: Float32,
    weights: Float32 | None,
    folds: Folds,
    size: int,
    smoothing: float | None,
    into: Float64,
    folder: Path,
    tables: Path | None = None,
) -> tuple[Float64, Float64, Beta]:
    """Set ``into`` (2, n) to every training row's ``told`` values, of the other folds (or earlier ones) alone: a row's
    own label changes nothing there, prior included.

    Returns clicks and rows (size,) of each source id over all training rows, and the prior.
    """
    order = _by_fold(folds, folder)
    held = sum(np.bincount(folds.of_row[block], minlength=folds.count) for block in blocks(len(ids)))
    limits = np.cumsum(np.append(0, held))
    tally = _Tally(ids, clicks, weights, size)
    writer = HeldOutWriter(tables, folder) if tables is not None else None
    if not folds.in_time:
        tally.add(slice(0, len(ids)))
    for fold in range(folds.count):
        rows = order[limits[fold] : limits[fold + 1]]
        if not folds.in_time:
            tally.add(rows, -1.0)
        prior = tally.prior(smoothing)
        for block in blocks(len(rows)):
            here = rows[block]
            into[:, here] = told(*tally.of(ids[here]), prior).T
        if writer is not None:
            writer.add(*tally.sums(rows), prior)
        tally.add(rows)
    if writer is not None:
        writer.close()
    return tally.clicks_of, tally.rows_of, tally.prior(smoothing)


class _Tally:
    """Clicks and rows of each source id, and of all rows together."""

    def __init__(self, ids: Int32, clicks: Float32, weights: Float32 | None, size: int) -> None:
        self._ids, self._clicks, self._weights = ids, clicks, weights
        self.clicks_of, self.rows_of = np.zeros(size), np.zeros(size)
        self._clicked = self._amount = 0.0

    def add(self, rows: Indices | slice, sign: float = 1.0) -> None:
        """Count some rows, or take them back."""
        count = len(self._ids) if isinstance(rows, slice) else len(rows)
        for block in blocks(count):
            here = block if isinstance(rows, slice) else rows[block]
            ids, clicked, amount = self._counted(here)
            self._amount += sign * float(amount.sum())
            self._clicked += sign * float(clicked.sum())
            known = np.where(ids == UNKNOWN, 0.0, sign)  # too rare to say anything
            np.add.at(self.rows_of, ids, known * amount)
            np.add.at(self.clicks_of, ids, known * clicked)

    def sums(self, rows: Indices) -> tuple[Int32, Float64, Float64]:
        """The source ids of some rows, ascending, and the clicks and rows of each among these."""
        ids, clicked, amount = self._counted(rows)
        distinct, places = np.unique(ids, return_inverse=True)
        clicks, counts = np.bincount(places, clicked, len(distinct)), np.bincount(places, amount, len(distinct))
        return distinct, clicks.astype(np.float64), counts.astype(np.float64)

    def _counted(self, rows: Indices | slice) -> tuple[Int32, Float64, Float64]:
        """Of some rows their source ids, and the clicks and rows that each stands for."""
        ids = self._ids[rows]
        amount = np.ones(len(ids)) if self._weights is None else self._weights[rows].astype(np.float64)
        return ids, amount * self._clicks[rows], amount

    def of(self, ids: Int32) -> tuple[Float64, Float64]:
        """Clicks and rows of source ids."""
        return self.clicks_of[ids], self.rows_of[ids]

    def prior(self, smoothing: float | None) -> Beta:
        """Of the rows that are counted: the beta that fits the ids best, or their click rate with a given strength."""
        if smoothing is None:
            return Beta.fit(self.clicks_of, self.rows_of)
        return Beta.around(self._clicked / self._amount if self._amount > NOTHING else 0.5, smoothing)


def write_target(encoder: Encoder, field: Field, training: Float64, directory: Path, folder: Path) -> Int64:
    """Write a statistic into the rows of ``directory``; ``training`` (2, n) are the training rows' own values. Returns
    how often each of the field's rows occurs there."""
    statistics, schema = encoder.statistics[field.name], encoder.schema
    counts = np.zeros(encoder.rows_of(field.name), np.int64)
    for part in PARTS:
        ids = mapped(source_file(folder, part, schema, field.name))
        matrix = mapped(directory / part / ("floats.npy" if field.bins is None else "tokens.npy"), writable=True)
        first = schema.numbers_column(field.name) if field.bins is None else schema.ids_column(field.name)
        for block in blocks(len(ids)):
            values = training[:, block].T if part == "train" else statistics.values(ids[block])
            found = encoded(statistics.form, values)
            matrix[block, first : first + (1 if found.ndim == 1 else 2)] = found.reshape(len(found), -1)
            if part == "train" and found.ndim == 1:
                counts += np.bincount(found.astype(np.int64), minlength=len(counts))
            elif part == "train":
                missing = int(np.isnan(values[:, 0]).sum())
                counts[MISSING] += missing * field.width
                counts[FIRST:] += len(values) - missing
    return counts


def _by_fold(folds: Folds, folder: Path) -> Int32:
    """(n,) the rows of fold 0, then those of fold 1, and so on, each ascending."""
    order = created(folder / "by-fold.npy", np.int32, folds.of_row.shape)
    done = 0
    for fold in range(folds.count):
        for block in blocks(len(order)):
            rows = np.flatnonzero(folds.of_row[block] == fold)
            order[done : done + len(rows)] = rows + block.start
            done += len(rows)
    return order
