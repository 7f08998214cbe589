"""The order of training rows: as random as a full permutation in all that training notices, but local on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from dagfm.encoding.rows import Int64

WINDOW = 1 << 20
"""Rows that are permuted together: their pages (160 MB at 39 tokens) are what reading keeps busy at a time."""
BLOCK = 64
"""Neighbouring rows that stay in one window, so that a page of the file is read for a few windows only. In data sorted
by label a batch of 4096 rows then differs in its click rate 1.12 times as much as after a full permutation; blocks of
256 rows would make that 1.4."""


@dataclass(frozen=True)
class Shuffle:
    """An endless sequence of epochs, each every row once; an epoch's number and a position in it are all its state.

    Up to ``window`` rows an epoch is one permutation. More are cut into blocks of neighbours; the blocks are permuted,
    a run of permuted blocks is a window, the rows of a window are permuted. Memory: 8 bytes a block and the window.
    """

    rows: int
    seed: int
    window: int = WINDOW
    block: int = BLOCK

    @property
    def windows(self) -> int:
        """Windows of an epoch, of equal size up to a block."""
        return max(1, -(-self.rows // self.window))

    def epoch(self, number: int, start: int = 0, opening: Callable[[Int64], None] | None = None) -> Iterator[Int64]:
        """The rows of an epoch from position ``start`` on, window by window; windows before it are not computed.

        ``opening`` is told the rows of each window, if there are several, before any of them is yielded.
        """
        if self.windows == 1:
            yield np.random.default_rng([self.seed, number]).permutation(self.rows)[start:]
            return
        for index, blocks in enumerate(self._windows(number)):
            rows = self._rows_of(blocks)
            if start < len(rows):
                if opening is not None:
                    opening(rows)
                # From 1 on: a seed of [a, b, 0] is that of [a, b].
                yield np.random.default_rng([self.seed, number, index + 1]).permutation(rows)[start:]
            start = max(0, start - len(rows))

    def batches(
        self, number: int, size: int, start: int = 0, opening: Callable[[Int64], None] | None = None
    ) -> Iterator[Int64]:
        """The same in batches of ``size`` rows, from batch ``start`` on; only an epoch's last one may be smaller."""
        rest = np.zeros(0, np.int64)
        for window in self.epoch(number, start * size, opening):
            rows = np.concatenate([rest, window]) if len(rest) else window
            whole = len(rows) - len(rows) % size
            for first in range(0, whole, size):
                yield rows[first : first + size]
            rest = rows[whole:]
        if len(rest):
            yield rest

    def nearby(self, run: int) -> Int64:
        """The rows of the ``run``-th window of this order, ascending: a sample of all rows that lies close on disk."""
        if self.windows == 1:
            return np.arange(self.rows)
        number, index = divmod(run, self.windows)
        return self._rows_of(np.sort(self._windows(number)[index]))

    def _windows(self, number: int) -> list[Int64]:
        """The blocks of each window of an epoch."""
        blocks = np.random.default_rng([self.seed, number]).permutation(-(-self.rows // self.block))
        return np.array_split(blocks, self.windows)

    def _rows_of(self, blocks: Int64) -> Int64:
        rows = (blocks[:, None] * self.block + np.arange(self.block)).reshape(-1)
        return rows[rows < self.rows]
