"""The truth: every order is there with its share, and an interaction tells nothing about fewer fields."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from dagfm.data.simulate import Options
from dagfm.data.simulate.best import expected_auc
from dagfm.data.simulate.blocks import Block, Source
from dagfm.data.simulate.columns import columns
from dagfm.data.simulate.hashing import mixed, uniforms
from dagfm.data.simulate.options import SHARES
from dagfm.data.simulate.probability import Probability
from dagfm.data.simulate.truth import Logits, Term, Truth
from dagfm.metrics import sigmoid

HASHES = [1499779525776241895, 3568757030066329781, 3667188687631755151]


def truth_of(options: Options) -> Truth:
    return Truth(options, columns(options))


def parts(options: Options, terms: list[Term] | None = None) -> tuple[Block, np.ndarray[Any, Any]]:
    """Some rows, and the logits that only some of the terms make."""
    source = Source(options, columns(options))
    block = source.block(0)
    truth = source.truth
    if terms is not None:
        kept = [at for at, term in enumerate(truth.terms) if term in terms]
        truth.terms = tuple(truth.terms[at] for at in kept)
        truth._factors = [truth._factors[at] for at in kept]
    return block, truth.logits(block.values).fixed


def explained(values: list[np.ndarray[Any, Any]], target: np.ndarray[Any, Any]) -> float:
    """Share of the target's variance that the mean for every combination of values explains, beyond chance."""
    groups = np.unique(np.stack(values), axis=1, return_inverse=True)[1].reshape(-1)
    counts = np.bincount(groups)
    means = np.bincount(groups, target) / counts
    by_chance = len(counts) / len(target)
    return float(np.average((means - target.mean()) ** 2, weights=counts) / target.var()) - by_chance


def test_every_order_has_its_share() -> None:
    options = Options(fields=8, ids=400, order=4, floats=2, signal=1.5)
    truth = truth_of(options)
    sizes = [len(term.members) for term in truth.terms]
    assert [sizes.count(order) for order in (1, 2, 3, 4)] == [8, 4, 1, 1]
    assert sum(term.share for term in truth.terms) == pytest.approx(1)
    whole = parts(options)[1]
    assert whole.var() == pytest.approx(1.5**2, rel=0.05)
    for order in (1, 2, 3, 4):
        terms = [term for term in truth.terms if len(term.members) == order]
        share = SHARES[order - 1] / sum(SHARES)
        assert sum(term.share for term in terms) == pytest.approx(share)
        # Products of several numbers have long tails, so a sample's variance is rough.
        assert parts(options, terms)[1].var() == pytest.approx(share * 1.5**2, rel=0.15)


def test_an_interaction_of_three_is_invisible_to_fewer() -> None:
    options = Options(fields=4, ids=30, order=3)
    (term,) = [term for term in truth_of(options).terms if len(term.members) == 3]
    block, logits = parts(options, [term])
    assert abs(logits.mean()) < 0.02 * logits.std()
    for size in (1, 2):
        for members in combinations(range(4), size):
            assert explained([block.values[member] for member in members], logits) < 0.01
    assert explained([block.values[member] for member in term.members], logits) > 0.99


def test_a_pair_effect_is_of_the_pair_and_of_no_low_rank() -> None:
    options = Options(fields=4, ids=1200, order=1, signal=0.0, pair_effect=1.0)
    block, logits = parts(options)
    pair = truth_of(options).pair
    assert pair is not None
    assert logits.std() == pytest.approx(1.0, abs=0.1)
    one, two = (block.values[member] for member in pair)
    assert explained([one, two], logits) == pytest.approx(1 - len(np.unique(one * 100_000 + two)) / len(one), abs=0.01)
    # The pairs of the most frequent ids as a matrix: its singular values are those of independent entries.
    table = np.full((12, 12), np.nan)
    table[one[(one < 12) & (two < 12)], two[(one < 12) & (two < 12)]] = logits[(one < 12) & (two < 12)]
    assert not np.isnan(table).any()
    strength = np.linalg.svd(table, compute_uv=False) ** 2
    assert strength[:4].sum() / strength.sum() < 0.85


def test_large_fields_without_tables_have_the_moments_that_are_claimed() -> None:
    options = Options(fields=2, ids=400_000, order=2)
    source = Source(options, columns(options))
    values = source.block(0).values[1]
    effects = source.truth._effects[1]
    assert effects._table is None  # type: ignore[attr-defined]
    for one in (effects.own(values), effects.trend(values), *effects.latent(values)):
        assert one.mean() == pytest.approx(0, abs=0.02)
        assert one.std() == pytest.approx(1, abs=0.02)
    np.testing.assert_allclose(np.cov(effects.latent(values)), effects.covariance, atol=0.03)


@pytest.mark.parametrize(
    ("rate", "more"),
    [
        (0.02, {}),
        (0.5, {"noise": 2.0, "pair_effect": 1.0}),
        (0.3, {"drift": 1.5}),
        (0.9, {"signal": 5.0}),
        (0.5, {"signal": 0.0}),
    ],
)
def test_the_click_rate_is_as_asked(rate: float, more: dict[str, float]) -> None:
    options = Options(fields=3, ids=90, click_rate=rate, **more)  # type: ignore[arg-type]
    source = Source(options, columns(options))
    clicks = np.concatenate([source.block(number).click for number in (0, 1)])
    # With drift the rate moves; over the 30 days that the million rows last it is as asked.
    expected = np.mean([source.block(number).best.mean() for number in range(3)])
    assert expected == pytest.approx(rate, abs=0.005)
    assert more.get("drift") or clicks.mean() == pytest.approx(rate, abs=0.006)


def test_every_option_changes_what_it_should() -> None:
    def best(**more: float) -> float:
        options = Options(fields=4, ids=300, **more)  # type: ignore[arg-type]
        return expected_auc(Source(options, columns(options)).block(0).best)

    plain = best()
    assert best(signal=0.9) < plain - 0.05
    assert best(noise=2.0) < plain - 0.03
    assert best(pair_effect=1.5) > plain + 0.02
    assert best(signal=0.0) == pytest.approx(0.5)


def test_noise_and_drift_are_averaged_out() -> None:
    logits = np.array([-3.0, 0.0, 0.4, 5.0], np.float32)
    trend = np.array([1.0, -2.0, 0.0, 3.0], np.float32)
    random = np.random.default_rng(0)
    noise, time = random.normal(size=400_000), random.random(400_000)
    probability = Probability(bias=-0.5, noise=1.3, days=30.0)
    best = probability.anytime(Logits(logits, trend))
    for at in range(4):
        drawn = sigmoid(logits[at] - 0.5 + 1.3 * noise + (2 * time - 1) * trend[at])
        assert best[at] == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 632)
    np.testing.assert_allclose(Probability(0.1, 0.0, 30.0).anytime(Logits(logits, None)), sigmoid(logits + 0.1), 1e-6)


def test_hashes_are_stable_and_spread() -> None:
    # Another value here is another log for every seed.
    assert mixed(np.array([0, 1, 2]), 2022, 3).tolist() == HASHES
    numbers = uniforms(mixed(np.arange(200_000), 1))
    np.testing.assert_allclose(numbers.mean(axis=1), 0, atol=0.01)
    np.testing.assert_allclose(np.cov(numbers), np.eye(4), atol=0.01)
    assert abs(np.corrcoef(numbers[0, :-1], numbers[0, 1:])[0, 1]) < 0.01
