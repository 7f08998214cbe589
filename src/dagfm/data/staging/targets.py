"""Target statistics without leaks: training rows are told the clicks of other rows, all others those of training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagfm.data.mapped import blocks, created, mapped
from dagfm.data.split import PARTS
from dagfm.data.staging.assemble import source_file
from dagfm.data.staging.fitting import mean_and_std
from dagfm.encoding.bins import Bins
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Int32, Int64
from dagfm.encoding.scale import Scale
from dagfm.encoding.statistics import Grid, Statistics, encoded, smoothed
from dagfm.encoding.values import Float64
from dagfm.schema import FIRST, SMOOTHING, UNKNOWN, Field

FOLDS = 5
"""Random folds: a row's statistic is of the four others."""
TIME_FOLDS = 50
"""Folds in time: a row's statistic is of those before its own."""


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
    field: Field, ids: Int32, clicks: Float32, weights: Float32 | None, folds: Folds, size: int, folder: Path
) -> tuple[Statistics, Float64]:
    """The statistic of ``field`` from the source ids, labels and weights of the training rows, each (n,), and the
    training rows' own ``smoothed`` values (2, n), out of fold. ``size``: how many source ids there are."""
    smoothing = SMOOTHING if field.smoothing is None else field.smoothing
    values = created(folder / "target.npy", np.float64, (2, len(ids)))
    clicked, counted, prior = out_of_fold(ids, clicks, weights, folds, size, smoothing, values, folder)
    if field.bins is None:
        pairs = [mean_and_std(component) for component in values]
        form: Scale | Grid = Scale(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs))
    else:
        rates = created(folder / "rates.npy", np.float64, (len(ids),))
        rates[:] = values[0]
        rates.sort()
        form = Grid(Bins.fit(rates, field.bins), int(np.log2(1.0 + counted.max()) + 1e-9) + 1)
    return Statistics(clicked, counted, prior, smoothing, form), values


def out_of_fold(
    ids: Int32,
    clicks: Float32,
    weights: Float32 | None,
    folds: Folds,
    size: int,
    smoothing: float,
    into: Float64,
    folder: Path,
) -> tuple[Float64, Float64, float]:
    """Set ``into`` (2, n) to every training row's ``smoothed`` values, told the other folds (or earlier ones) alone: a
    row's own label changes nothing there, prior included.

    Returns clicks and rows (size,) of each source id over all training rows, and their click rate.
    """
    order = _by_fold(folds, folder)
    held = sum(np.bincount(folds.of_row[block], minlength=folds.count) for block in blocks(len(ids)))
    limits = np.cumsum(np.append(0, held))
    tally = _Tally(ids, clicks, weights, size)
    if not folds.in_time:
        tally.add(slice(0, len(ids)))
    everything = _Tally(ids, clicks, weights, 0)
    everything.add(slice(0, len(ids)))
    for fold in range(folds.count):
        rows = order[limits[fold] : limits[fold + 1]]
        own = _Tally(ids, clicks, weights, 0)
        own.add(rows)
        others = everything.amount - own.amount
        prior = (everything.clicked - own.clicked) / others if others > 0 else 0.5
        if not folds.in_time:
            tally.add(rows, -1.0)
        for block in blocks(len(rows)):
            here = rows[block]
            into[:, here] = smoothed(*tally.of(ids[here]), prior, smoothing).T
        tally.add(rows)
    return tally.clicks_of, tally.rows_of, everything.clicked / everything.amount


class _Tally:
    """Clicks and rows of each source id, and of all together; ``size`` 0 counts all together only."""

    def __init__(self, ids: Int32, clicks: Float32, weights: Float32 | None, size: int) -> None:
        self._ids, self._clicks, self._weights = ids, clicks, weights
        self.clicks_of, self.rows_of = np.zeros(size), np.zeros(size)
        self.clicked = self.amount = 0.0

    def add(self, rows: Indices | slice, sign: float = 1.0) -> None:
        """Count some rows, or take them back."""
        count = len(self._ids) if isinstance(rows, slice) else len(rows)
        for block in blocks(count):
            here = block if isinstance(rows, slice) else rows[block]
            ids = self._ids[here]
            amount = np.ones(len(ids)) if self._weights is None else self._weights[here].astype(np.float64)
            clicked = amount * self._clicks[here]
            self.amount += sign * float(amount.sum())
            self.clicked += sign * float(clicked.sum())
            if len(self.rows_of):
                known = np.where(ids == UNKNOWN, 0.0, sign)  # too rare to say anything: the prior alone
                np.add.at(self.rows_of, ids, known * amount)
                np.add.at(self.clicks_of, ids, known * clicked)

    def of(self, ids: Int32) -> tuple[Float64, Float64]:
        """Clicks and rows of source ids; what was added and taken back may leave a rounding error below zero."""
        return np.maximum(self.clicks_of[ids], 0.0), np.maximum(self.rows_of[ids], 0.0)


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
            if part == "train":
                held = found if found.ndim == 1 else np.repeat(FIRST + np.arange(2), len(found))
                counts += np.bincount(held.astype(np.int64), minlength=len(counts))
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
