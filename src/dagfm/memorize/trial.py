"""The proof: the same network with and without the fields that were found, on validation rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dagfm import metrics
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32
from dagfm.encoding.values import Float64
from dagfm.training.sampling import Sampling
from dagfm.training.scoring import WHOLE

SURE = 3.0
"""Standard errors by which the loss has to fall."""


@dataclass(frozen=True)
class Trial:
    """The network with the first ``fields`` of those that were found."""

    fields: int
    logloss: float
    seconds: float
    """Of its training."""
    losses: Float64
    """(n,) of the validation rows, weighted to a mean of one."""


def row_losses(valid: Dataset, logits: Float32, sampling: Sampling = WHOLE) -> Float64:
    """(n,) each validation row's logloss by ``logits`` (n,) of a model that saw ``sampling``, weighted so that the mean
    is that of all rows."""
    labels, counted = sampling.judged(valid)
    weights = np.ones(1) if counted is None else np.asarray(counted, np.float64)
    corrected = np.asarray(logits, np.float64) + sampling.shift
    losses: Float64 = metrics.cross_entropy(np.asarray(labels, np.float64), corrected) * weights / weights.mean()
    return losses


def surely_better(one: Trial, other: Trial, least: float = 0.0) -> bool:
    """Whether ``one`` has a loss that is lower than that of ``other`` by at least ``least`` and beyond chance."""
    gains = other.losses - one.losses
    mean, error = float(gains.mean()), float(gains.std()) / len(gains) ** 0.5
    return mean >= least and mean > SURE * error


def best_of(tried: Callable[[int], Trial], found: int, least: float) -> tuple[Trial, list[Trial]]:
    """The trial to keep, of none, the first, half and all of ``found`` fields; and those that were made.

    Fewer fields are kept unless more are surely better, and any at all only if they save ``least``. Half is tried only
    where all are surely better than one.
    """
    trials = {count: tried(count) for count in sorted({0, min(1, found), found})}
    if found > 3 and surely_better(trials[found], trials[1]):
        trials[found // 2] = tried(found // 2)
    kept = trials[min(1, found)]
    for count in sorted(trials):
        if count and surely_better(trials[count], kept):
            kept = trials[count]
    made = [trials[count] for count in sorted(trials)]
    return (kept if found and surely_better(kept, trials[0], least) else trials[0]), made
