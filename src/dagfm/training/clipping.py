"""Between which two numbers a teacher's logits are kept: quantiles of what it says of training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dagfm.encoding.rows import Float32

SAMPLE = 1 << 20
"""Of more logits, so many evenly spaced ones are looked at."""


@dataclass(frozen=True)
class Clipping:
    """The two numbers and the quantile that they come from."""

    quantile: float
    low: float
    high: float

    def __call__(self, logits: Float32) -> Float32:
        """The logits (n,), those outside at the nearer end."""
        clipped: Float32 = np.clip(logits, np.float32(self.low), np.float32(self.high))
        return clipped


def clipping(logits: Float32, quantile: float, scale: float = 1.0) -> Clipping:
    """The ends that clip logits (n,), once multiplied by ``scale``, at a ``quantile`` and at 1 minus it."""
    seen = np.asarray(logits[:: -(-len(logits) // SAMPLE)], np.float64) * scale
    low, high = np.quantile(seen, [quantile, 1 - quantile])
    return Clipping(quantile, float(low), float(high))
