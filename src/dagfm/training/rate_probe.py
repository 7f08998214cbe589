"""A learning rate from a short trial at growing rates."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

from torch import Tensor

from dagfm.data.batches import Batches, Examples

STEPS, SLOWEST, FASTEST = 150, 1e-4, 1.0
SMOOTHING = 0.9
"""Share of the past in the loss that is looked at."""
WORSE = 1.5
"""The trial ends where the smoothed loss is so many times its least."""
SHARE = 0.1
"""Of the rate at which the loss was least: there the next steps were already too long."""


def probed_rate(step: Callable[[Examples, float], Tensor], batches: Batches) -> float:
    """A tenth of the rate at which the smoothed loss was least, of 150 steps at rates from 1e-4 to 1 (Smith, "Cyclical
    Learning Rates for Training Neural Networks", WACV 2017, section 3.3; the tenth is common practice).

    ``step`` takes a batch and a rate, makes a step of a model that is thrown away, and returns the loss before it.
    The same model and batches give the same rate. Two digits are kept: more are noise.
    """
    grown = (FASTEST / SLOWEST) ** (1 / (STEPS - 1))
    past, smoothed, least, best = 0.0, 0.0, math.inf, SLOWEST
    for index, examples in enumerate(itertools.islice(_endless(batches), STEPS)):
        rate = SLOWEST * grown**index
        past = SMOOTHING * past + (1 - SMOOTHING) * float(step(examples, rate))
        smoothed = past / (1 - SMOOTHING ** (index + 1))
        if not math.isfinite(smoothed) or smoothed > WORSE * least:
            break
        if smoothed < least:
            least, best = smoothed, rate
    return float(f"{SHARE * best:.1e}")


def _endless(batches: Batches) -> itertools.chain[Examples]:
    return itertools.chain.from_iterable(batches.epoch(number) for number in itertools.count())
