"""Which of the found fields are kept is decided by validation rows, and in doubt they are not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from dagfm.config.data import NegativesConfig
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Rows
from dagfm.memorize.trial import Trial, best_of, row_losses, surely_better
from dagfm.training.sampling import Sampling

N = 10_000


def trials(savings: dict[int, float], asked: list[int] | None = None) -> Callable[[int], Trial]:
    """By how much each number of fields lowers the loss of every row, in noise of a tenth."""
    random = np.random.default_rng(0)
    base = random.random(N)

    def tried(count: int) -> Trial:
        if asked is not None:
            asked.append(count)
        losses = base - savings[count] + 0.1 * np.random.default_rng(count).normal(size=N)
        return Trial(count, float(losses.mean()), 1.0, losses)

    return tried


def test_nothing_found_is_one_trial() -> None:
    kept, made = best_of(trials({0: 0.0}), 0, 0.001)
    assert kept.fields == 0 and len(made) == 1


def test_all_are_kept_where_each_helps() -> None:
    kept, made = best_of(trials({0: 0, 1: 0.02, 3: 0.05, 6: 0.09}), 6, 0.001)
    assert kept.fields == 6 and [one.fields for one in made] == [0, 1, 3, 6]


def test_half_is_kept_where_the_rest_does_nothing() -> None:
    kept, _ = best_of(trials({0: 0, 1: 0.02, 3: 0.09, 6: 0.09}), 6, 0.001)
    assert kept.fields == 3


def test_the_first_is_kept_where_the_others_harm() -> None:
    asked: list[int] = []
    kept, _ = best_of(trials({0: 0, 1: 0.02, 6: -0.01}, asked), 6, 0.001)
    assert kept.fields == 1 and sorted(asked) == [0, 1, 6]


def test_what_harms_is_not_kept() -> None:
    kept, _ = best_of(trials({0: 0, 1: -0.01, 2: -0.02}), 2, 0.001)
    assert kept.fields == 0


def test_what_is_within_noise_is_not_kept() -> None:
    kept, _ = best_of(trials({0: 0, 1: 0.001}), 1, 0.0)
    assert kept.fields == 0


def test_what_saves_too_little_is_not_kept() -> None:
    kept, _ = best_of(trials({0: 0, 1: 0.02}), 1, 0.05)
    assert kept.fields == 0
    kept, _ = best_of(trials({0: 0, 1: 0.02}), 1, 0.01)
    assert kept.fields == 1


def test_better_is_beyond_chance_and_one_way() -> None:
    tried = trials({0: 0.0, 1: 0.02})
    assert surely_better(tried(1), tried(0)) and not surely_better(tried(0), tried(1))
    assert not surely_better(tried(0), tried(0))


def test_losses_are_finite_and_weighted() -> None:
    labels = np.array([0, 1, 1, 0], np.float32)
    logits = np.array([-800, 800, 0.5, 0.5], np.float32)
    rows = Rows(np.zeros((4, 0), np.int32), np.zeros((4, 0), np.float32), ())
    losses = row_losses(Dataset(rows, labels), logits)
    np.testing.assert_allclose(losses, [0, 0, np.log1p(np.exp(-0.5)), np.log1p(np.exp(0.5))], atol=1e-7)
    weighted = row_losses(Dataset(rows, labels, weights=np.array([1, 1, 3, 3], np.float32)), logits)
    np.testing.assert_allclose(weighted, losses * [0.5, 0.5, 1.5, 1.5], atol=1e-7)


def test_of_down_sampled_non_clicks_the_served_logits_are_judged() -> None:
    rows = Rows(np.zeros((2, 0), np.int32), np.zeros((2, 0), np.float32), ())
    valid, logits = Dataset(rows, np.array([0, 1], np.float32)), np.array([0.3, -0.2], np.float32)
    sampling = Sampling.of(NegativesConfig(keep=0.1))
    assert sampling.shift < 0
    shifted = row_losses(valid, logits + np.float32(sampling.shift))
    np.testing.assert_allclose(row_losses(valid, logits, sampling), shifted, rtol=1e-6)
