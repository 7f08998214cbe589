"""The stability index: a distance that is zero of equal samples, and about as large as chance makes it otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dagfm.metrics import shift


def test_it_is_the_sum_over_bins() -> None:
    one, other = np.array([30.0, 50.0, 20.0]), np.array([300.0, 400.0, 300.0])
    p, q = (one + 0.5) / 101.5, (other + 0.5) / 1001.5
    found = shift(one, other)
    assert found.psi == pytest.approx(sum((a - b) * math.log(a / b) for a, b in zip(p, q, strict=True)))
    assert found.by_chance == pytest.approx(2 * (1 / 100 + 1 / 1000))


def test_equal_samples_are_at_zero_and_an_empty_bin_is_no_infinity() -> None:
    counts = np.array([10.0, 0.0, 90.0])
    assert shift(counts, counts.copy()).psi == 0
    larger = shift(counts, 100 * counts)
    assert larger.psi < 2 * larger.by_chance
    assert 1 < shift(counts, counts[::-1].copy()).psi < 5


def test_two_samples_of_one_distribution_are_apart_by_chance() -> None:
    draw, shares = np.random.default_rng(0), np.full(20, 0.05)
    found = [shift(*(draw.multinomial(n, shares).astype(float) for n in (500, 2000))) for _ in range(400)]
    assert np.mean([one.psi for one in found]) == pytest.approx(found[0].by_chance, rel=0.1)
    assert not any(one.large for one in found)
    assert shift(*(np.array([1.0, 0.0]), np.array([0.0, 1.0]))).large is False, "two rows tell nothing"
    assert shift(np.array([900.0, 100.0]), np.array([100.0, 900.0])).large
