"""Two scorers of the same schema on the same encoded rows: how their figures and their probabilities differ."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dagfm import metrics
from dagfm.encoding.rows import Float32, Rows
from dagfm.errors import DagfmError
from dagfm.metrics import Difference, Standing, auc_difference, logloss_difference, sigmoid
from dagfm.serving.scorer import Scorer


@dataclass(frozen=True, eq=False)
class Sample:
    """Encoded rows that training has not seen, with labels of both classes."""

    what: str
    """What they are, such as "test rows of the run"."""
    rows: Rows
    labels: Float32
    """(n,)"""
    weights: Float32 | None = None
    """(n,)"""


@dataclass(frozen=True)
class Figures:
    """How good a scorer is on labelled rows."""

    auc: float
    logloss: float


@dataclass(frozen=True)
class Measured:
    """The figures of two scorers on a sample; differences are those of the second minus those of the first."""

    on: str
    before: Figures
    after: Figures
    auc: Difference
    logloss: Difference

    @property
    def loss(self) -> float:
        """By how much AUC fell or logloss rose, whichever is more; below 0 where both became better."""
        return max(-self.auc.mean, self.logloss.mean)


@dataclass(frozen=True)
class Comparison:
    """How far apart two scorers are."""

    rows: int
    measured: Measured | None
    """None of rows without labels."""
    largest: float
    """Difference of a row's probabilities."""
    mean: float
    """Of the absolute differences."""

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        differences = {"largest": self.largest, "mean": self.mean}
        found = self.measured
        if found is None:
            return {"on": None, "rows": self.rows, "probabilities_differ": differences}
        return {
            "on": found.on,
            "rows": self.rows,
            "before": asdict(found.before),
            "after": asdict(found.after),
            "standard_errors": {"auc": found.auc.standard_error, "logloss": found.logloss.standard_error},
            "probabilities_differ": differences,
        }


def compared(before: Scorer, after: Scorer, rows: Rows) -> Comparison:
    """Scorers on rows (n) without labels."""
    largest, mean = _apart(before.served_encoded(rows), after.served_encoded(rows))
    return Comparison(len(rows), None, largest, mean)


def measured(before: Scorer, after: Scorer, sample: Sample) -> Comparison:
    """Scorers on labelled rows. Raises ValueError where these are of one class alone, DagfmError where a score is no
    number."""
    labels, weights = sample.labels, sample.weights
    logits = [scorer.served_encoded(sample.rows) for scorer in (before, after)]
    if not all(np.isfinite(one).all() for one in logits):
        raise DagfmError("the bundle scores rows with what is no number; its weights are damaged")
    one, other = (Standing.of(labels, each, weights) for each in logits)
    first, second = (
        Figures(metrics.auc(labels, each, weights), metrics.logloss(labels, each, weights)) for each in logits
    )
    found = Measured(sample.what, first, second, auc_difference(other, one), logloss_difference(other, one))
    return Comparison(len(labels), found, *_apart(*logits))


def _apart(one: metrics.Float64, other: metrics.Float64) -> tuple[float, float]:
    differences = np.abs(sigmoid(one) - sigmoid(other))
    return float(differences.max(initial=0.0)), float(differences.mean()) if len(differences) else 0.0
