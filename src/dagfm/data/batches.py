"""The training rows in random order, batch by batch, with labels, teacher logits and recombined rows beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dagfm import metrics
from dagfm.data.dataset import Dataset
from dagfm.data.hiding import Hiding
from dagfm.data.prefetch import prefetch
from dagfm.data.recombine import Recombination, recombined
from dagfm.data.shuffle import WINDOW, Shuffle
from dagfm.data.threads import in_order
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Indices, Rows

Made = TypeVar("Made")

AHEAD = 2
"""Batches made before they are needed."""


@dataclass(frozen=True)
class Pool:
    """Unlabelled rows and what the teacher says of them."""

    made_of: Recombination
    """The m rows."""
    logits: Float32
    """(m,) teacher logits."""

    def announce(self, rows: Rows, begin: int) -> int:
        """Start reading the rows of one run of slots, from ``begin`` on (slots cycle); returns where the run ends."""
        end = (begin // WINDOW + 1) * WINDOW
        slots = slice(begin % len(self.logits), begin % len(self.logits) + end - begin)
        run = self.made_of[slots]
        prefetch(rows, run.touched)
        return min(end, begin + len(run))


@dataclass(frozen=True)
class Examples:
    """One batch: B labelled rows, then any recombined ones."""

    rows: Rows
    labels: Float32
    """(B,), of the first B rows."""
    teacher: Float32 | None
    """Teacher logits of all rows, where there is a teacher."""
    weights: Float32 | None = None
    """(B,) of the first B rows, 1 on average over the training rows; None where all are 1, as recombined rows are."""
    labelled: NDArray[np.bool_] | None = None
    """(B,) which of the first B rows have a label; None where all do."""


@dataclass(frozen=True)
class Batches:
    """Shuffled epochs without end; epoch ``e`` from batch ``b`` on is the same however often it is asked for."""

    dataset: Dataset
    encoder: Encoder
    batch_size: int
    seed: int
    teacher: Float32 | None = None
    """(n,) logits of the training rows."""
    pool: Pool | None = None
    recombined: float = 0.0
    """Recombined rows a labelled row."""
    unlabelled: bool = False
    """Whether rows without a label take part."""
    among: Indices | None = None
    """(m,) the rows that are trained on, ascending, all with a label; None: all."""
    hiding: Hiding | None = None
    """Which ids the training rows do not show; None: they show all."""

    @property
    def per_epoch(self) -> int:
        """Batches in an epoch; the last may be smaller."""
        return -(-self._count // self.batch_size)

    @property
    def rows_per_epoch(self) -> int:
        """Rows in an epoch, recombined ones counted."""
        return self._count + self._recombined_span(0, 0, self._count)[1]

    def epoch(self, number: int, start: int = 0) -> Iterator[Examples]:
        """The batches of one epoch, from batch ``start`` on."""
        return self.made(number, start, lambda examples: examples)

    def made(self, number: int, start: int, make: Callable[[Examples], Made]) -> Iterator[Made]:
        """What ``make`` makes of them, the next ones while the caller is busy with one."""
        chosen = self._chosen(number, start)
        return in_order(lambda one: make(self._examples(one[0], number, one[1])), chosen, AHEAD, purpose="batches")

    def _chosen(self, number: int, start: int) -> Iterator[tuple[Indices, int]]:
        """The rows of each batch, and how many of the epoch come before it."""
        shuffle = Shuffle(self._count, self.seed)

        def opening(window: Indices) -> None:
            prefetch(self.dataset.rows, self._rows(window))

        announced = 0
        for batch, places in enumerate(shuffle.batches(number, self.batch_size, start, opening), start):
            chosen = self._rows(places)
            first = batch * self.batch_size
            if self.pool is not None and shuffle.windows > 1:
                begin, count = self._recombined_span(number, first, len(chosen))
                while announced < begin + count:
                    announced = self.pool.announce(self.dataset.rows, max(announced, begin))
            yield chosen, first

    def _examples(self, chosen: Indices, number: int, first: int) -> Examples:
        labels = np.asarray(self.dataset.labels[chosen])
        labelled = ~np.isnan(labels) if self.unlabelled and self.dataset.labelled is not None else None
        weights = self._weights(chosen)
        teacher = None if self.teacher is None else self.teacher[chosen]
        begin, count = self._recombined_span(number, first, len(chosen))
        if self.pool is None or count == 0:
            rows = self._shown(self.dataset.rows.take(chosen), len(chosen))
            return Examples(rows, labels, teacher, weights, labelled)
        slots = np.arange(begin, begin + count) % len(self.pool.logits)
        made_of, held_out = self.pool.made_of[slots], self.dataset.held_out
        rows = recombined(self.dataset.rows, self.encoder, made_of, after=chosen, held_out=held_out)
        assert teacher is not None, "a pool comes with the teacher's logits"
        rows = self._shown(rows, len(chosen))
        return Examples(rows, labels, np.concatenate([teacher, self.pool.logits[slots]]), weights, labelled)

    def _shown(self, rows: Rows, count: int) -> Rows:
        """What the first ``count`` rows show; recombined ones show all."""
        return rows if self.hiding is None else self.hiding.hide(rows, count)

    @property
    def _count(self) -> int:
        """Rows of an epoch, recombined ones apart."""
        if self.among is not None:
            return len(self.among)
        return len(self.dataset) - (0 if self.unlabelled else self.dataset.unlabelled)

    def _rows(self, places: Indices) -> Indices:
        """The rows of the data set at places among those that take part."""
        if self.among is not None:
            return self.among[places]
        labelled = None if self.unlabelled else self.dataset.labelled
        return places if labelled is None else labelled[places]

    def _weights(self, chosen: Indices) -> Float32 | None:
        if self.dataset.weights is None:
            return None
        weights: Float32 = self.dataset.weights[chosen] * self._scale_of_weights
        return weights

    @cached_property
    def _scale_of_weights(self) -> np.float32:
        """What makes the training rows' weights 1 on average."""
        return np.float32(1.0 if self.dataset.weights is None else 1.0 / metrics.mean(self.dataset.weights))

    def _recombined_span(self, number: int, first: int, count: int) -> tuple[int, int]:
        """Where in the pool the batch's recombined rows start, and how many they are: every epoch takes fresh ones."""
        if self.pool is None:
            return 0, 0
        done = number * self._count + first
        begin = int(self.recombined * done)
        return begin, int(self.recombined * (done + count)) - begin
