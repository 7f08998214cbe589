"""From logits to the probability of a click, averaged over what the fields do not tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dagfm.data.simulate.hashing import Float32
from dagfm.metrics import Float64, sigmoid

if TYPE_CHECKING:
    from dagfm.data.simulate.truth import Logits

_GRID = np.linspace(-40.0, 40.0, 8_001)
_MONTH = 30.0
"""Days in which effects move from one end to the other."""


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
        nodes, weights = np.polynomial.legendre.leggauss(8)
        times = (nodes + 1.0) / 2.0 * self.days / _MONTH
        total = np.zeros(len(fixed))
        for time, weight in zip(times, weights / 2.0, strict=True):
            total += weight * self._smoothed(fixed + (2.0 * time - 1.0) * logits.trend)
        return total.astype(np.float32)

    def _smoothed(self, logits: Float64) -> Float64:
        return np.interp(logits, _GRID, _curve(self.noise)) if self.noise else sigmoid(logits)


@cache
def _curve(noise: float) -> Float64:
    """E sigmoid(z + noise * e), e standard normal, on the grid; the trapezoid rule is all but exact for it."""
    steps = np.linspace(-8.0, 8.0, 129)
    weights = np.exp(-0.5 * steps**2)
    weights /= weights.sum()
    curve = np.zeros_like(_GRID)
    for step, weight in zip(steps, weights, strict=True):
        curve += weight * sigmoid(_GRID + noise * step)
    return curve


def with_click_rate(rate: float, noise: float, days: float, sample: Iterable[Logits]) -> Probability:
    """The probability whose mean over the sample is ``rate``: its bias is found by the secant method.

    The mean is over 30 days, also where the log is longer or shorter: more rows must not change those before them.
    """
    blocks = list(sample)

    def distance(bias: float) -> float:
        # Of log odds, which are nearly linear in the bias, so that a few steps are enough.
        month = Probability(bias, noise, _MONTH)
        mean = float(np.mean([month.anytime(logits).mean(dtype=np.float64) for logits in blocks]))
        return _log_odds(mean) - _log_odds(rate)

    before, bias = 0.0, _log_odds(rate) or 0.1
    height = distance(before)
    for _ in range(50):
        now = distance(bias)
        if abs(now) < 1e-6 or now == height:
            break
        before, bias, height = bias, bias - now * (bias - before) / (now - height), now
    # Rounded, so that sums that differ in their last digit from machine to machine give the same clicks.
    return Probability(round(bias, 5), noise, days)


def _log_odds(share: float) -> float:
    return float(np.log(share / (1.0 - share)))
