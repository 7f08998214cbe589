"""From logits to the probability of a click, averaged over what the fields do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dagfm.data.simulate.hashing import Float32
from dagfm.metrics import Float64, sigmoid

if TYPE_CHECKING:
    from dagfm.data.simulate.truth import Logits

_GRID = np.linspace(-40.0, 40.0, 16_001)


@dataclass(frozen=True)
class Probability:
    """P(click) of logits: noise is averaged out, for nobody can know it, and so the result is the best score there is.

    A click is drawn from this average directly: drawing the noise first and the click then would be the same in law.
    """

    bias: float
    noise: float
    days: float

    def now(self, logits: Logits, time: Float64) -> Float32:
        """Given the fields and the time (n,), in units of 30 days: what the clicks are drawn from."""
        fixed = logits.fixed.astype(np.float64) + self.bias
        if logits.trend is not None:
            fixed += (2.0 * time - 1.0) * logits.trend
        return self._smoothed(fixed).astype(np.float32)

    def anytime(self, logits: Logits) -> Float32:
        """Given the fields alone: averaged over the log's duration. It equals ``now`` without drift."""
        fixed = logits.fixed.astype(np.float64) + self.bias
        if logits.trend is None:
            return self._smoothed(fixed).astype(np.float32)
        nodes, weights = np.polynomial.legendre.leggauss(12)
        times = (nodes + 1.0) / 2.0 * self.days / 30.0
        total = np.zeros(len(fixed))
        for time, weight in zip(times, weights / 2.0, strict=True):
            total += weight * self._smoothed(fixed + (2.0 * time - 1.0) * logits.trend)
        return total.astype(np.float32)

    def _smoothed(self, logits: Float64) -> Float64:
        return np.interp(logits, _GRID, self._curve) if self.noise else sigmoid(logits)

    @cached_property
    def _curve(self) -> Float64:
        """E sigmoid(z + noise * e), e standard normal, on the grid; the trapezoid rule is exact for such integrands."""
        steps = np.linspace(-8.0, 8.0, 257)
        weights = np.exp(-0.5 * steps**2)
        weights /= weights.sum()
        curve = np.zeros_like(_GRID)
        for step, weight in zip(steps, weights, strict=True):
            curve += weight * sigmoid(_GRID + self.noise * step)
        return curve


def with_click_rate(rate: float, noise: float, days: float, sample: Iterable[Logits]) -> Probability:
    """The probability whose mean over the sample is ``rate``: its bias is found by halving an interval."""
    blocks = list(sample)
    low, high = -40.0, 40.0
    for _ in range(40):
        middle = (low + high) / 2.0
        means = [float(Probability(middle, noise, days).anytime(logits).mean()) for logits in blocks]
        low, high = (middle, high) if np.mean(means) < rate else (low, middle)
    # Rounded, so that sums that differ in their last digit from machine to machine give the same clicks.
    return Probability(round((low + high) / 2.0, 5), noise, days)
