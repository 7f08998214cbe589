"""Two models on the same rows: how far apart they are, and how far that can be told from these rows.

The rows are a sample, so a difference has a standard error; both models see the same sample, so it is far smaller than
that of either model alone. Nothing is resampled. A mean of differences has its textbook standard error; for AUC it is
that of DeLong, DeLong and Clarke-Pearson ("Comparing the areas under two or more correlated receiver operating
characteristic curves", Biometrics 44, 1988): what a bootstrap over rows converges to, exact, in the time of a sort
(Sun and Xu, "Fast implementation of DeLong's algorithm", IEEE Signal Processing Letters 21, 2014).

A row is what is sampled: one that weighs 10 is one observation, not ten.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dagfm.metrics.figures import Float64, cross_entropy

NORMAL_95 = 1.959963984540054
"""Standard errors on either side of a mean that hold 95 % of a normal distribution."""


@dataclass(frozen=True)
class Difference:
    """One model's figure minus another's, on the same rows."""

    mean: float
    standard_error: float
    """Over samples of rows like these; NaN where there are too few rows to tell."""

    def interval(self) -> tuple[float, float]:
        """The 95 % confidence interval, by the normal distribution."""
        reach = NORMAL_95 * self.standard_error
        return self.mean - reach, self.mean + reach


@dataclass(frozen=True, eq=False)
class Standing:
    """What each row says of one model; of two standings over the same rows the differences follow at once."""

    clicks: Float64
    """(n,), the weight of each row's clicks."""
    others: Float64
    """(n,), the weight of each row's non-clicks."""
    above: Float64
    """(n,), the share of all non-clicks that score below the row, ties counting one half."""
    below: Float64
    """(n,), the share of all clicks that score above the row, ties counting one half."""
    losses: Float64
    """(n,), binary cross-entropy."""

    @classmethod
    def of(cls, labels: ArrayLike, logits: ArrayLike, weights: ArrayLike | None = None) -> Standing:
        """Where a model that gives ``logits`` (n,) stands on rows with ``labels`` (n,), 0 to 1, and ``weights`` (n,).

        O(n log n), about 60 bytes a row. Raises ValueError when clicks or non-clicks are absent.
        """
        y, z = np.asarray(labels, np.float64), np.asarray(logits)
        total = np.ones(len(y)) if weights is None else np.asarray(weights, np.float64)
        clicks = total * y
        others = total - clicks
        if not (clicks.sum() > 0 and others.sum() > 0):
            raise ValueError("a comparison needs clicks and non-clicks that weigh something")
        order = np.argsort(z, kind="stable")
        ordered = z[order]
        first = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
        run = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(z))))

        def under(mass: Float64) -> Float64:
            """(n,), the share of ``mass`` that scores below each row, and half of what scores the same."""
            tied = np.add.reduceat(mass[order], first)
            share = np.empty(len(z))
            share[order] = ((np.cumsum(tied) - tied / 2) / tied.sum())[run]
            return share

        losses = cross_entropy(y, z.astype(np.float64))
        return cls(clicks, others, under(others), 1.0 - under(clicks), losses)


def auc_difference(one: Standing, other: Standing) -> Difference:
    """AUC of ``one`` minus AUC of ``other``, with DeLong's standard error.

    Rows with weights, or with a label between 0 and 1, enter by their influence on either area; for plain rows that is
    DeLong's covariance to the letter.
    """
    clicks, others = one.clicks / one.clicks.sum(), one.others / one.others.sum()
    won, lost = one.above - other.above, one.below - other.below
    mean = float(clicks @ won)
    by_clicks, by_others = clicks * (won - mean), others * (lost - mean)
    variance = (
        _grown(float(by_clicks @ by_clicks), int(np.count_nonzero(clicks)))
        + _grown(float(by_others @ by_others), int(np.count_nonzero(others)))
        + 2 * float(by_clicks @ by_others)  # of rows that are clicks and non-clicks
    )
    # Of two models that order the rows alike, rounding may leave less than nothing.
    return Difference(mean, math.sqrt(max(variance, 0.0)) if not math.isnan(variance) else math.nan)


def logloss_difference(one: Standing, other: Standing) -> Difference:
    """Logloss of ``one`` minus logloss of ``other``."""
    return mean_difference(one.losses - other.losses, one.clicks + one.others)


def mean_difference(values: Float64, weights: Float64) -> Difference:
    """The mean of the rows' differences ``values`` (n,), which count ``weights`` (n,)."""
    shares = weights / weights.sum()
    mean = float(shares @ values)
    parts = shares * (values - mean)
    variance = _grown(float(parts @ parts), int(np.count_nonzero(shares)))
    return Difference(mean, math.sqrt(variance) if not math.isnan(variance) else math.nan)


def _grown(squares: float, count: int) -> float:
    """The variance of a mean from squared deviations of its parts, which are from the sample's own mean."""
    return squares * count / (count - 1) if count > 1 else math.nan
