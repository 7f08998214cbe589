"""How much each teacher of several has to say, found on validation rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from dagfm import metrics
from dagfm.data.mapped import blocks
from dagfm.encoding.rows import Float32
from dagfm.metrics import Float64
from dagfm.training.calibration import Worth, calibrate, weights_of, worth

_STEPS, _PRECISION = 100, 1e-10


@dataclass(frozen=True)
class Weighing(Worth):
    """What weights are worth beside the mean, on validation rows; both at their best scale."""

    weights: tuple[float, ...]
    """The best ones, in the members' order: none negative, 1 in all."""


def weigh(labels: Float32, members: Sequence[Float32], weights: Float32 | None, shift: float = 0.0) -> Weighing:
    """The weights w >= 0 with the lowest logloss of ``sum_k w_k * members[k] + shift``, each (n,).

    Stacked regressions with weights that may not be negative (Breiman, Machine Learning 24, 1996), by logloss, which is
    convex in w: Newton's method on the weights that are not held at zero. A few numbers from thousands of rows; what
    they sum to is left to the calibration.
    """
    w = np.full(len(members), 1.0 / len(members))
    loss, slope, curvature = _derivatives(labels, members, weights, shift, w)
    for _ in range(_STEPS):
        step = _newton(w, slope, curvature)
        length = 1.0
        while length > _PRECISION:
            trial = np.maximum(w + length * step, 0.0)
            told = _derivatives(labels, members, weights, shift, trial)
            if told[0] < loss:
                break
            length /= 2
        else:
            break
        moved = float(np.abs(trial - w).max())
        w, (loss, slope, curvature) = trial, told
        if moved < _PRECISION:
            break
    share = w / w.sum() if w.sum() > 0 else np.full(len(members), 1.0 / len(members))
    return _worth(labels, members, weights, shift, share)


def _newton(w: Float64, slope: Float64, curvature: Float64) -> Float64:
    """The step to where the weights would be best, those at zero that it would lower left out."""
    free = (w > 0) | (slope < 0)
    while True:
        step = np.zeros_like(w)
        chosen = np.flatnonzero(free)
        if len(chosen):
            within = curvature[np.ix_(chosen, chosen)]
            ridge = 1e-9 * float(np.trace(within)) * np.eye(len(chosen))  # members may be the same
            step[chosen] = -np.linalg.lstsq(within + ridge, slope[chosen], rcond=None)[0]
        stuck = free & (w <= 0) & (step < 0)
        if not stuck.any():
            return step
        free &= ~stuck


def _derivatives(
    labels: Float32, members: Sequence[Float32], weights: Float32 | None, shift: float, w: Float64
) -> tuple[float, Float64, Float64]:
    """The summed loss, and its first (k,) and second (k, k) derivatives by the weights."""
    loss, slope, curvature = 0.0, np.zeros(len(w)), np.zeros((len(w), len(w)))
    for block in blocks(len(labels)):
        z, y, counted = _block(labels, members, weights, block)
        logits = w @ z + shift
        p = metrics.sigmoid(logits)
        loss += float((counted * metrics.cross_entropy(y, logits)).sum())
        slope += z @ (counted * (p - y))
        curvature += (z * (counted * p * (1 - p))) @ z.T
    return loss, slope, curvature


def _worth(
    labels: Float32, members: Sequence[Float32], weights: Float32 | None, shift: float, share: Float64
) -> Weighing:
    equal = np.full(len(members), 1.0 / len(members))
    scales = [calibrate(labels, _combined(members, one), weights, shift).scale for one in (equal, share)]

    def losses(block: slice) -> tuple[Float64, Float64, Float64]:
        z, y, counted = _block(labels, members, weights, block)
        before, after = (
            metrics.cross_entropy(y, scale * (one @ z) + shift)
            for scale, one in zip(scales, (equal, share), strict=True)
        )
        return before, after, counted

    return Weighing(**asdict(worth(losses, len(labels))), weights=tuple(share.tolist()))


def _combined(members: Sequence[Float32], share: Float64) -> Float32:
    total = np.zeros(len(members[0]), np.float64)
    for member, weight in zip(members, share, strict=True):
        total += weight * member
    return total.astype(np.float32)


def _block(
    labels: Float32, members: Sequence[Float32], weights: Float32 | None, block: slice
) -> tuple[Float64, Float64, Float64]:
    z = np.stack([member[block].astype(np.float64) for member in members])
    return z, labels[block].astype(np.float64), weights_of(weights, block)
