"""Distance between parts: exact on small counts, large only where it is no chance."""

from __future__ import annotations

import numpy as np
import pytest

from dagfm.data.describe.drift import VALUES, drift, of_numbers, of_values


def test_figures() -> None:
    counts = np.array([[60.0, 30, 0], [40, 70, 0]])
    found = drift(counts)
    assert found is not None and set(found) == {"valid"}
    p, q = np.array([30.5, 70.5]) / 101, np.array([60.5, 40.5]) / 101
    assert found["valid"]["psi"] == pytest.approx(((p - q) * np.log(p / q)).sum())
    assert found["valid"]["tv"] == pytest.approx(0.3)
    assert drift(np.zeros((2, 3))) is None


def test_a_shift_is_large_and_few_rows_are_not() -> None:
    random = np.random.default_rng(0)
    same = np.stack([random.multinomial(n, np.full(20, 0.05)) for n in (8000, 60, 1000)], axis=1).astype(float)
    found = drift(same)
    assert found is not None and not found["valid"]["large"] and not found["test"]["large"]
    moved = same.copy()
    moved[:5, 2] = 0
    found = drift(moved)
    assert found is not None and found["test"]["large"]


def test_rare_values_are_one_bin_and_missing_another() -> None:
    counts = np.tile(np.arange(1.0, 101)[:, None], (1, 3))
    bins = of_values(counts, np.array([7.0, 8, 9]))
    assert bins.shape == (VALUES + 2, 3)
    assert bins[-1].tolist() == [7, 8, 9]
    assert bins.sum() == counts.sum() + 24


def test_numbers_are_cut_at_quantiles_of_training_rows() -> None:
    values = np.concatenate([np.arange(1000.0), np.arange(500.0, 1500), [np.nan, np.inf]])
    parts = np.concatenate([np.zeros(1000), np.ones(1000), [1, 1]]).astype(np.uint8)
    bins = of_numbers(values, parts)
    assert bins[:, 0].tolist() == pytest.approx([100] * 10 + [0], abs=1)
    assert bins[-1].tolist() == [0, 1, 0] and bins[-2][1] == pytest.approx(601, abs=1)
    assert of_numbers(np.full(3, np.nan), np.zeros(3, np.uint8)).tolist() == [[0, 0, 0], [3, 0, 0]]
