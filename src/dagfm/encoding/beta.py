"""Empirical Bayes for click rates: what the rate of a value may be before any of its rows is seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dagfm.encoding.rows import Int64
from dagfm.encoding.values import Float64

LARGEST = 1024
"""Rows of a value that count: one with more is scaled down, its rate is known anyhow."""
_WEAKEST, _STRONGEST = 2e-3, 1e4
"""Rows that the prior weighs as much as, at least and at most: in a log where every value is all clicks or none, and in
one where all values have one rate."""
_SEARCH, _MEANS = 22, 4
"""Steps of the search for that strength, and of the mean at each of them."""


@dataclass(frozen=True)
class Beta:
    """The prior Beta(clicks, others) of a value's click rate, as if so many rows of it were known beforehand."""

    clicks: float
    others: float

    @classmethod
    def around(cls, rate: float, rows: float) -> Beta:
        """The prior with the mean ``rate`` that weighs as much as ``rows`` rows; none of the two is below 1e-6."""
        return cls(max(rate * rows, 1e-6), max((1.0 - rate) * rows, 1e-6))

    @classmethod
    def fit(cls, clicks: Float64, rows: Float64) -> Beta:
        """The likeliest prior (beta-binomial) of values with so many clicks and rows, each (v,), rounded; of no values
        the uniform one.

        The likelihood is a sum over how many values have more than i clicks, others and rows (Minka, "Estimating a
        Dirichlet distribution", 2000); its maximum over the strength is searched, the mean follows by fixed point. The
        order of the values has no influence.
        """
        there = rows >= 0.5
        shrink = np.minimum(1.0, LARGEST / np.maximum(rows[there], 1.0))
        total = np.rint(rows[there] * shrink).astype(np.int64)
        clicked = np.clip(np.rint(clicks[there] * shrink), 0, total).astype(np.int64)
        if not len(total):
            return cls(1.0, 1.0)
        most = int(total.max())
        often = _Often(*(_above(counts, most) for counts in (clicked, total - clicked, total)))
        rate = float(np.clip(clicked.sum() / total.sum(), 1e-4, 1 - 1e-4))
        low, high = np.log(_WEAKEST), np.log(_STRONGEST)
        golden = (5**0.5 - 1) / 2
        inner = [high - golden * (high - low), low + golden * (high - low)]
        tried = [often.best(rate, float(np.exp(one))) for one in inner]
        for _ in range(_SEARCH):
            if tried[0][0] >= tried[1][0]:
                high, inner[1], tried[1] = inner[1], inner[0], tried[0]
                inner[0] = high - golden * (high - low)
                tried[0] = often.best(tried[1][1], float(np.exp(inner[0])))
            else:
                low, inner[0], tried[0] = inner[0], inner[1], tried[1]
                inner[1] = low + golden * (high - low)
                tried[1] = often.best(tried[0][1], float(np.exp(inner[1])))
        rows_of, (_, mean) = max(zip(inner, tried, strict=True), key=lambda one: one[1][0])
        return cls.around(mean, float(np.exp(rows_of)))

    @property
    def rate(self) -> float:
        """The mean."""
        return self.clicks / (self.clicks + self.others)

    @property
    def rows(self) -> float:
        """How many rows it weighs as much as."""
        return self.clicks + self.others

    def log_odds(self, clicks: Float64, rows: Float64) -> Float64:
        """(n,) how much the log-odds of the posterior rate given so many clicks and rows lie above the prior's."""
        posterior = (clicks + self.clicks) / (np.maximum(rows - clicks, 0.0) + self.others)
        return np.asarray(np.log(posterior) - np.log(self.clicks / self.others), np.float64)


@dataclass(frozen=True)
class _Often:
    """How many values have more than 0, 1, 2, ... clicks, others and rows, each (the most rows,)."""

    clicks: Float64
    others: Float64
    rows: Float64

    def best(self, rate: float, rows: float) -> tuple[float, float]:
        """The log-likelihood, up to a constant, of a prior that weighs ``rows`` rows, and its likeliest mean, searched
        from ``rate`` on."""
        steps = np.arange(len(self.rows))
        for _ in range(_MEANS):
            a, b = rate * rows, (1.0 - rate) * rows
            up, down = a * float((self.clicks / (a + steps)).sum()), b * float((self.others / (b + steps)).sum())
            rate = float(np.clip(up / (up + down), 1e-6, 1.0 - 1e-6))
        a, b = rate * rows, (1.0 - rate) * rows
        found = self.clicks @ np.log(a + steps) + self.others @ np.log(b + steps) - self.rows @ np.log(rows + steps)
        return float(found), rate


def _above(counts: Int64, most: int) -> Float64:
    """(most,) how many of ``counts`` are larger than 0, 1, 2, ..."""
    often = np.bincount(counts, minlength=most + 1)
    return np.cumsum(often[::-1])[::-1][1:].astype(np.float64)
