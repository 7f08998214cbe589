import numpy as np
import pytest

from dagfm.encoding.beta import LARGEST, Beta


def drawn(a: float, b: float, values: int, rows: np.ndarray, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    counts = random.choice(rows, values).astype(np.float64)
    return random.binomial(counts.astype(int), random.beta(a, b, values)).astype(np.float64), counts


@pytest.mark.parametrize(("a", "b"), [(0.2, 0.5), (2.0, 60.0), (8.0, 8.0)])
def test_the_prior_that_rates_were_drawn_from_is_found(a: float, b: float) -> None:
    prior = Beta.fit(*drawn(a, b, 20_000, np.arange(1, 60)))
    assert prior.clicks == pytest.approx(a, rel=0.1) and prior.others == pytest.approx(b, rel=0.1)


def test_it_is_a_maximum_of_the_likelihood() -> None:
    from math import lgamma

    clicks, rows = drawn(0.7, 3.0, 400, np.arange(1, 30), seed=2)

    def likelihood(a: float, b: float) -> float:
        return sum(
            lgamma(c + a) + lgamma(n - c + b) - lgamma(n + a + b) + lgamma(a + b) - lgamma(a) - lgamma(b)
            for c, n in zip(clicks, rows, strict=True)
        )

    prior = Beta.fit(clicks, rows)
    best = likelihood(prior.clicks, prior.others)
    for factor in (0.9, 1.1):
        assert likelihood(prior.clicks * factor, prior.others) < best
        assert likelihood(prior.clicks, prior.others * factor) < best


def test_values_that_are_all_alike_are_drawn_to_their_mean() -> None:
    rows = np.full(5_000, 40.0)
    clicks = np.random.default_rng(1).binomial(40, 0.1, 5_000).astype(np.float64)
    prior = Beta.fit(clicks, rows)
    assert prior.rate == pytest.approx(0.1, abs=0.003) and prior.rows > 500


@pytest.mark.parametrize(
    ("clicks", "rows"), [([], []), ([0.0], [0.0]), ([0.0, 0.0], [3.0, 9.0]), ([3.0, 9.0], [3.0, 9.0]), ([1e7], [2e7])]
)
def test_extremes_give_a_prior_that_smooths(clicks: list[float], rows: list[float]) -> None:
    prior = Beta.fit(np.array(clicks), np.array(rows))
    assert 0 < prior.rate < 1 and np.isfinite(prior.log_odds(np.array([0.0, 5.0]), np.array([0.0, 5.0]))).all()


def test_the_order_of_the_values_has_no_influence() -> None:
    clicks, rows = drawn(1.0, 4.0, 1_000, np.arange(1, 3 * LARGEST))
    order = np.random.default_rng(3).permutation(1_000)
    assert Beta.fit(clicks, rows) == Beta.fit(clicks[order], rows[order])
