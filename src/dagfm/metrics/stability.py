"""How far two distributions over the same bins lie apart, and how far samples of one distribution would."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from dagfm.metrics.figures import Float64

LARGE = 0.25
"""Population stability index from which a shift is called large, as is the custom."""


class Shift(NamedTuple):
    """The distance of two samples."""

    psi: float
    """Population stability index: the sum of (p - q) ln(p / q), with half a row added to every bin."""
    by_chance: float
    """What it would be, about, if both were drawn from one distribution: bins over rows."""

    @property
    def large(self) -> bool:
        """Whether it is large, and beyond what few rows differ by."""
        return self.psi >= LARGE + 3 * self.by_chance


def shift(one: Float64, other: Float64) -> Shift:
    """Of counts (bins,) and counts (bins,), neither all zero."""
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (one, other))
    by_chance = (len(one) - 1) * (1 / one.sum() + 1 / other.sum())
    return Shift(float(((p - q) * np.log(p / q)).sum()), float(by_chance))
