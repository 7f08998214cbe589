"""Rows in blocks of a fixed size, each drawn from its own generator: any row can be made without those before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagfm.data.simulate.columns import START, Column
from dagfm.data.simulate.effects import Values
from dagfm.data.simulate.hashing import Float32
from dagfm.data.simulate.options import Options
from dagfm.data.simulate.probability import Probability, with_click_rate
from dagfm.data.simulate.truth import Truth

BLOCK = 65_536
"""Rows of a block. It is part of what a seed means: another size would give other rows."""
_SAMPLE = range(1 << 48, (1 << 48) + 2)
"""Blocks that are in no log: the bias is fitted on them, and so is the same for logs of any length."""


@dataclass(frozen=True)
class Block:
    """Some rows in a row, all arrays (n,)."""

    values: Sequence[Values]
    """By field: ranks of ids, or numbers."""
    time: NDArray[np.int64]
    """Unix seconds."""
    click: NDArray[np.uint8]
    best: Float32
    """P(click) given the fields: the best score for a model of the fields."""
    now: Float32 | None
    """P(click) given the fields and the time; None without drift, where it is the same."""

    def cut(self, start: int, stop: int) -> Block:
        """The rows from ``start`` to ``stop`` of the block."""
        return Block(
            [values[start:stop] for values in self.values],
            self.time[start:stop],
            self.click[start:stop],
            self.best[start:stop],
            None if self.now is None else self.now[start:stop],
        )


class Source:
    """Makes the rows of a simulation, in any order."""

    def __init__(self, options: Options, fields: Sequence[Column]) -> None:
        self.fields, self.truth = fields, Truth(options, fields)
        self._options = options
        sample = (self.truth.logits(self._draw(number)[0]) for number in _SAMPLE)
        self.probability: Probability = with_click_rate(options.click_rate, options.noise, options.days, sample)

    def rows(self, start: int, stop: int) -> Iterator[Block]:
        """Rows ``start`` to ``stop``, in pieces of at most a block."""
        for number in range(start // BLOCK, -(-stop // BLOCK)):
            first = number * BLOCK
            yield self.block(number).cut(max(start - first, 0), min(stop - first, BLOCK))

    def block(self, number: int) -> Block:
        """The whole of a block, also beyond the last row of the log."""
        values, chance = self._draw(number)
        days = np.arange(number * BLOCK, (number + 1) * BLOCK) / (self._options.rows / self._options.days)
        logits = self.truth.logits(values)
        now = self.probability.now(logits, days / 30.0)
        drifts = self._options.drift > 0
        return Block(
            values,
            START + (days * 86_400.0).astype(np.int64),
            (chance < now).astype(np.uint8),
            self.probability.anytime(logits) if drifts else now,
            now if drifts else None,
        )

    def _draw(self, number: int) -> tuple[list[Values], Float32]:
        random = np.random.Generator(np.random.Philox(key=np.array([self._options.seed, number], np.uint64)))
        values: list[Values] = []
        for column in self.fields:
            if column.is_number:
                # Rounded before it has its effect: the file tells all of it.
                values.append(np.round(column.mean + column.std * random.standard_normal(BLOCK), 3))
            else:
                values.append(column.popularity.ranks(random.random(BLOCK)))
        return values, random.random(BLOCK, np.float32)
