"""The truth behind the clicks: which fields interact, how strongly, and the probability that follows for a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.data.simulate.columns import Column
from dagfm.data.simulate.effects import Values, effects_of
from dagfm.data.simulate.hashing import Float32, mixed, uniforms
from dagfm.data.simulate.options import SHARES, Options
from dagfm.data.simulate.probability import Probability


@dataclass(frozen=True)
class Term:
    """One set of fields that interact."""

    members: tuple[int, ...]
    share: float
    """Of the variance of the logit that the interactions make."""


@dataclass(frozen=True)
class Logits:
    """The parts of a block's logits without the bias, each (n,)."""

    fixed: Float32
    trend: Float32 | None
    """Added times -1 at the start of 30 days, times 1 at their end; None without drift."""


class Truth:
    """Everything that decides about clicks but the bias."""

    def __init__(self, options: Options, fields: Sequence[Column]) -> None:
        self.options, self.fields = options, fields
        self.terms = terms(options, fields)
        self._effects = [effects_of(column, options.seed) for column in fields]
        self._trends = np.array([column.weight for column in fields])
        self._trends = options.drift * np.sqrt(self._trends / self._trends.sum())
        self.pair = _pair(fields) if options.pair_effect else None
        self._factors = [options.signal * self._factor(term) for term in self.terms]

    def logits(self, values: Sequence[Values]) -> Logits:
        """The logits of rows given each field's ranks or numbers (n,)."""
        latent: dict[int, Float32] = {}
        fixed = np.zeros(len(values[0]), np.float32)
        for term, factor in zip(self.terms, self._factors, strict=True):
            first, *rest = term.members
            if not rest:
                fixed += np.float32(factor) * self._effects[first].own(values[first])
                continue
            for member in term.members:
                if member not in latent:
                    latent[member] = self._effects[member].latent(values[member])
            product = latent[first] * latent[rest[0]]
            for member in rest[1:]:
                product *= latent[member]
            fixed += np.float32(factor) * product.sum(axis=0)
        if self.pair is not None:
            fixed += self.pair_effects(self.pair_keys(values))
        if not self.options.drift:
            return Logits(fixed, None)
        moved = np.zeros(len(fixed), np.float32)
        for column, effects, strength in zip(self.fields, self._effects, self._trends, strict=True):
            moved += np.float32(strength) * effects.trend(values[column.index])
        return Logits(fixed, moved)

    def pair_keys(self, values: Sequence[Values]) -> NDArray[np.uint64]:
        """A number for the pair of each row, given each field's ranks (n,)."""
        assert self.pair is not None, "asked where a pair has an effect"
        one, two = (values[member].astype(np.uint64) for member in self.pair)
        keys: NDArray[np.uint64] = one * np.uint64(1 << 32) + two
        return keys

    def pair_effects(self, keys: NDArray[np.uint64]) -> Float32:
        """What the pairs add to the logit."""
        effects: Float32 = np.float32(self.options.pair_effect) * uniforms(mixed(keys, self.options.seed, 0x2A))[0]
        return effects

    def told(self, probability: Probability) -> dict[str, Any]:
        """The truth in words for ``simulation.json``."""
        names = [column.name for column in self.fields]
        interactions = [
            {"fields": [names[member] for member in term.members], "share": round(term.share, 6)} for term in self.terms
        ]
        return {
            "bias": probability.bias,
            "terms": interactions,
            "pair_effect": None if self.pair is None else [names[member] for member in self.pair],
        }

    def _factor(self, term: Term) -> float:
        """What gives the term its variance: that of sum_r prod_f v_fr is the sum of prod_f E[v_fr v_fq] over r, q."""
        if len(term.members) == 1:
            return float(np.sqrt(term.share))
        product = np.ones_like(self._effects[0].covariance)
        for member in term.members:
            product = product * self._effects[member].covariance
        variance = float(product.sum())
        return float(np.sqrt(term.share / variance)) if variance > 1e-9 else 0.0


def terms(options: Options, fields: Sequence[Column]) -> tuple[Term, ...]:
    """Which fields interact: each by itself, then drawn sets of two, a few of three, fewer of four.

    Fields of few ids are drawn more often and their sets weigh more, see ``Column.weight``.
    """
    total = sum(SHARES[: options.order])
    weights = np.array([column.weight for column in fields])
    made: list[Term] = []
    for order in range(1, options.order + 1):
        sets = [(place,) for place in range(len(fields))] if order == 1 else _sets(options, weights, order)
        heights = [min(weights[member] for member in members) for members in sets]
        for members, height in zip(sets, heights, strict=True):
            made.append(Term(members, float(SHARES[order - 1] / total * height / sum(heights))))
    return tuple(made)


def _sets(options: Options, weights: np.ndarray[Any, Any], order: int) -> list[tuple[int, ...]]:
    wanted = min(max(1, len(weights) // {2: 2, 3: 5, 4: 10}[order]), comb(len(weights), order))
    random = np.random.default_rng([options.seed, order])
    found: dict[tuple[int, ...], None] = {}
    while len(found) < wanted:
        drawn = random.choice(len(weights), order, replace=False, p=weights / weights.sum())
        found[tuple(sorted(int(member) for member in drawn))] = None
    return list(found)


def _pair(fields: Sequence[Column]) -> tuple[int, int]:
    """The two id fields nearest to 300 ids: their pairs are too many for a table and few enough to be seen again."""
    near = sorted((column for column in fields if column.ids), key=lambda column: abs(np.log(column.ids / 300)))
    return near[0].index, near[1].index
