"""The learning rates of all steps so far, and what the rules of the embedding's rows need of them, by step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEAN, SQUARE, EPSILON = 0.9, 0.999, 1e-8
"""What is left of Adam's moments after a step, and what keeps its divisor from zero: as Kingma and Ba have them, and
torch's Adam."""

LONGEST = 256
"""Idle steps of Adam taken at once, at most."""


class History:
    """Arrays by step, from 1 on; index 0 is before the first one."""

    mean_left = (MEAN ** np.arange(LONGEST + 1.0)).astype(np.float32)
    """(LONGEST + 1,) what is left of the mean after so many steps without a gradient; ``square_left`` of the square."""
    square_left = (SQUARE ** np.arange(LONGEST + 1.0)).astype(np.float32)
    mean_run = (MEAN * (1 - MEAN ** np.arange(LONGEST + 1.0)) / (1 - MEAN)).astype(np.float32)
    """(LONGEST + 1,) the sum of what is left of it after each of so many steps."""

    def __init__(self, rates: NDArray[np.float32] | None = None) -> None:
        """``rates`` (steps,): those of the steps so far."""
        self.steps = 0
        self._grow(1024)
        for rate in () if rates is None else rates:
            self.append(float(rate))

    def append(self, rate: float) -> None:
        """Another step."""
        self.steps += 1
        if self.steps == len(self.rates):
            self._grow(2 * len(self.rates))
        self.rates[self.steps] = rate
        self.path[self.steps] = self.path[self.steps - 1] + self.rates[self.steps]

    def _grow(self, size: int) -> None:
        old = self.steps
        self.rates, kept = np.zeros(size, np.float32), getattr(self, "rates", None)
        """(size,) the learning rate of every step."""
        self.path, summed = np.zeros(size), getattr(self, "path", None)
        """(size,) their sums."""
        if kept is not None and summed is not None:
            self.rates[:old], self.path[:old] = kept[:old], summed[:old]
        steps = np.maximum(np.arange(size), 1)
        self.mean_fix = (1 / (1 - MEAN**steps)).astype(np.float32)
        """(size,) what makes up for the mean's start at zero; ``square_fix`` for the square's."""
        self.square_fix = (1 / (1 - SQUARE**steps)).astype(np.float32)
