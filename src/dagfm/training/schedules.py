"""The learning rate of every step: pure functions, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from dagfm.config.phases import PhaseConfig


def learning_rate(settings: PhaseConfig, peak: float, step: int, steps: int) -> float:
    """The learning rate of step ``step``, from 0, of ``steps``: a rise in a line to ``peak`` over
    ``warm_up_steps``, then the schedule over what is left."""
    rise = settings.warm_up_steps
    if step < rise:
        return peak * (step + 1) / (rise + 1)
    if settings.schedule == "constant":
        return peak
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - rise) / (steps - rise)))
