"""One number that makes a teacher's logits neither too bold nor too timid, found on validation rows.

A student takes over its teacher's mistakes, and the commonest is to be sure of too much. Temperature scaling (Guo et
al., "On Calibration of Modern Neural Networks", ICML 2017) is one parameter and changes no ranking.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

from dagfm import metrics
from dagfm.data.mapped import blocks
from dagfm.encoding.rows import Float32
from dagfm.metrics import Float64

LOWEST, HIGHEST = 0.125, 8.0
"""Scales that are looked at; a teacher that needs another is wrong in more than one number."""
STANDARD_ERRORS = 2.0
"""A gain in logloss counts from so many standard errors of its mean over the rows on. The best scale of a calibrated
teacher differs from 1 by chance, by z of its own standard errors, and then gains z / 2 standard errors of the gain: the
limit lets a scale pass that is four of its standard errors away from 1."""
_STEPS, _PRECISION = 60, 1e-9


@dataclass(frozen=True)
class Worth:
    """What other logits are worth on validation rows."""

    logloss: float
    """Of those that there are."""
    gain: float
    """By how much the others lower it."""
    error: float
    """Standard error of the gain over the rows."""

    @property
    def pays(self) -> bool:
        """Whether the gain is more than noise."""
        return self.gain > STANDARD_ERRORS * self.error

    @property
    def told(self) -> str:
        """The gain, for people."""
        return f"validation logloss {self.logloss:.5f} -> {self.logloss - self.gain:.5f}"


@dataclass(frozen=True)
class Calibration(Worth):
    """What a scale on the logits is worth on validation rows."""

    scale: float
    """The best scale."""


Losses = Callable[[slice], tuple[Float64, Float64, Float64]]
"""Of a block of rows the loss of the logits that there are and of the others, and the rows' weights, each (n,)."""


def calibrate(labels: Float32, logits: Float32, weights: Float32 | None, shift: float = 0.0) -> Calibration:
    """The scale s with the lowest logloss of ``s * logits + shift``, within ``LOWEST`` and ``HIGHEST``, each (n,).

    Logloss is convex in s: Newton's method, kept between two scales of which one is too low and one too high. All in
    float64, a block of rows at a time.
    """
    low, high, scale = LOWEST, HIGHEST, 1.0
    for _ in range(_STEPS):
        slope, curvature = _derivatives(labels, logits, weights, shift, scale)
        low, high = (scale, high) if slope < 0 else (low, scale)
        step = scale - slope / curvature if curvature > 0 else math.nan
        following = step if low < step < high else (low + high) / 2
        if abs(following - scale) < _PRECISION:
            break
        scale = following
    return _worth(labels, logits, weights, shift, scale)


def _derivatives(
    labels: Float32, logits: Float32, weights: Float32 | None, shift: float, scale: float
) -> tuple[float, float]:
    """First and second derivative of the summed loss by the scale."""
    slope = curvature = 0.0
    for block in blocks(len(labels)):
        z, w = logits[block].astype(np.float64), weights_of(weights, block)
        p = metrics.sigmoid(scale * z + shift)
        slope += float((w * (p - labels[block]) * z).sum())
        curvature += float((w * p * (1 - p) * z * z).sum())
    return slope, curvature


def _worth(labels: Float32, logits: Float32, weights: Float32 | None, shift: float, scale: float) -> Calibration:
    def losses(block: slice) -> tuple[Float64, Float64, Float64]:
        z, y = logits[block].astype(np.float64), labels[block].astype(np.float64)
        before, after = metrics.cross_entropy(y, z + shift), metrics.cross_entropy(y, scale * z + shift)
        return before, after, weights_of(weights, block)

    return Calibration(**asdict(worth(losses, len(labels))), scale=scale)


def worth(losses: Losses, rows: int) -> Worth:
    """What lowers the ``losses`` of so many rows, a block in memory at a time."""
    total = before = gained = squares = 0.0
    for block in blocks(rows):
        loss, better, w = losses(block)
        total, before = total + float(w.sum()), before + float((w * loss).sum())
        gained += float((w * (loss - better)).sum())
    mean = gained / total
    for block in blocks(rows):
        loss, better, w = losses(block)
        squares += float(np.square(w * (loss - better - mean)).sum())
    return Worth(before / total, mean, math.sqrt(squares) / total)


def weights_of(weights: Float32 | None, block: slice) -> Float64:
    """What the rows of a block count, (n,)."""
    return np.ones(block.stop - block.start) if weights is None else weights[block].astype(np.float64)
