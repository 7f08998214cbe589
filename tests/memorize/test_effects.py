from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dagfm.memorize.effects import Places, Rows, effect_of, share_of_one_label

Array = np.ndarray


def sigmoid(logits: Array) -> Array:
    return 1 / (1 + np.exp(-logits))


def log_of(
    random: np.random.Generator, tokens: Array, effect: Array | float = 0.0, weights: Array | None = None
) -> Rows:
    """Rows whose clicks follow the model's logits, and beside them an ``effect`` that the model does not know."""
    logits = random.normal(-1.0, 1.0, len(tokens))
    clicks = (random.random(len(tokens)) < sigmoid(logits + effect)).astype(float)
    return Rows(clicks, np.ones(len(tokens)) if weights is None else weights, logits, tokens.astype(np.int32))


def places_of(rows: Rows, sizes: list[int]) -> Places:
    return Places.of(rows, range(len(sizes)), sizes)


def rare_ids(random: np.random.Generator, rows: int, ids: int) -> Array:
    """(rows,) ids from 2 on, few of them frequent and most of them rare."""
    return 2 + np.minimum(random.zipf(1.2, rows) - 1, ids - 3)


@pytest.mark.parametrize("seed", range(6))
def test_a_key_of_random_labels_gains_nothing(seed: int) -> None:
    random = np.random.default_rng(seed)
    tokens = np.stack([rare_ids(random, 20_000, ids) for ids in (20, 500, 20_000)], 1)
    rows = log_of(random, tokens)
    for columns, sizes in ([0], [20]), ([1], [500]), ([2], [20_000]), ([0, 1], [20, 500]), ([1, 2], [500, 20_000]):
        effect = effect_of(rows, Places.of(rows, columns, sizes))
        assert abs(effect.gain) < 4 * effect.error + 1e-4, columns
        assert effect.gain < max(0.0002, 3 * effect.error), columns


@pytest.mark.parametrize("spread", [0.3, 0.6])
def test_a_planted_effect_is_found_with_its_size(spread: float) -> None:
    random = np.random.default_rng(1)
    tokens = 2 + random.integers(0, 30, (40_000, 2))
    pair = random.normal(0, spread, (32, 32))
    rows = log_of(random, tokens, pair[tokens[:, 0], tokens[:, 1]])
    effect = effect_of(rows, places_of(rows, [32, 32]))
    # What a Newton step from the other rows of a value explains of normal effects, each value having as many rows.
    variance = float((sigmoid(rows.logits) * (1 - sigmoid(rows.logits))).mean())
    told = variance * spread**2 * len(rows.clicks) / 900
    assert effect.gain == pytest.approx(variance * spread**2 / 2 * told / (1 + told), rel=0.25)
    assert effect.gain > 6 * effect.error
    # The members say nothing by themselves that is worth as much.
    assert effect_of(rows, Places.of(rows, [0], [32])).gain < effect.gain / 4


def test_a_row_is_told_other_labels_and_never_its_own() -> None:
    random = np.random.default_rng(2)
    tokens = 2 + random.integers(0, 400, (8_000, 1))
    effects = random.normal(0, 1, 402)
    rows = log_of(random, tokens, effects[tokens[:, 0]])
    places = places_of(rows, [402])
    before = effect_of(rows, places).by
    for row in range(5):
        clicks = rows.clicks.copy()
        clicks[row] = 1 - clicks[row]
        after = effect_of(Rows(clicks, rows.weights, rows.logits, rows.tokens), places).by
        same = np.flatnonzero(tokens[:, 0] == tokens[row, 0])
        others = same[same != row]
        assert abs(after[row] - before[row]) < 0.01  # the shared variance, and what counts tell
        assert np.abs(after[others] - before[others]).min() > 0.1


def test_a_row_alone_with_its_value_is_told_what_all_such_rows_are() -> None:
    random = np.random.default_rng(3)
    tokens = np.concatenate([2 + np.arange(1_000) % 50, 100 + np.arange(1_000)])[:, None]
    effects = np.concatenate([np.zeros(1_000), np.full(1_000, 1.0)])
    rows = log_of(random, tokens, effects)
    by = effect_of(rows, places_of(rows, [1_200])).by
    assert len(set(by[1_000:])) == 1
    assert by[-1] == pytest.approx(1.0, abs=0.3)


def test_an_unknown_member_is_told_what_a_value_without_other_rows_is() -> None:
    random = np.random.default_rng(4)
    tokens = 2 + random.integers(0, 20, (6_000, 2))
    tokens[:2_000, 1] = 0
    tokens[-1] = 25, 25  # alone
    for sizes in [30, 30], [100_000, 100_000]:  # counted one by one, and hashed
        effects = np.where(tokens[:, 0] < 12, 2.0, -2.0)
        rows = log_of(random, tokens, effects)
        by = effect_of(rows, places_of(rows, sizes)).by
        assert set(by[:2_000]) == {by[-1]}
        assert len(set(by[2_000:])) > 300


def test_the_labels_of_unknown_members_say_nothing_of_known_ones() -> None:
    random = np.random.default_rng(5)
    tokens = 2 + random.integers(0, 20, (6_000, 2))
    tokens[:3_000, 1] = 0
    pair = random.normal(0, 1, (30, 30))
    rows = log_of(random, tokens, pair[tokens[:, 0], tokens[:, 1]])
    both = effect_of(rows, places_of(rows, [30, 30])).by[3_000:]
    known = Rows(rows.clicks[3_000:], rows.weights[3_000:], rows.logits[3_000:], rows.tokens[3_000:])
    places = places_of(known, [30, 30])
    told = np.bincount(places.of_row)[places.of_row] > 1
    assert told.sum() > 2_900
    assert both[told] == pytest.approx(effect_of(known, places).by[told], abs=1e-9)


def test_hashed_values_gain_what_counted_ones_do() -> None:
    random = np.random.default_rng(6)
    tokens = np.stack([rare_ids(random, 30_000, 200), rare_ids(random, 30_000, 200)], 1)
    pair = random.normal(0, 1, (200, 200))
    rows = log_of(random, tokens, pair[tokens[:, 0], tokens[:, 1]])
    exact, hashed = places_of(rows, [200, 200]), places_of(rows, [10**6, 10**6])
    assert exact.size == 200 * 200
    assert hashed.size == 2**17
    assert hashed.distinct == pytest.approx(exact.distinct, rel=0.1)
    one, other = effect_of(rows, exact), effect_of(rows, hashed)
    assert one.gain > 10 * one.error
    assert other.gain == pytest.approx(one.gain, abs=one.error)


def test_a_row_that_weighs_two_tells_others_as_much_as_two_rows() -> None:
    random = np.random.default_rng(7)
    tokens = 2 + random.integers(0, 1_000, (12_000, 1))
    effects = random.normal(0, 1, 1_002)
    rows = log_of(random, tokens, effects[tokens[:, 0]])
    row = 0
    told = np.flatnonzero(tokens[:, 0] == tokens[row, 0])[1:]
    weights = rows.weights.copy()
    weights[row] = 2.0
    heavy = Rows(rows.clicks, weights, rows.logits, rows.tokens)
    twice = Rows(*(np.concatenate([one, one[:1]]) for one in (rows.clicks, rows.weights, rows.logits, rows.tokens)))
    once, one, two = (effect_of(rows, places_of(rows, [1_002])).by[told] for rows in (rows, heavy, twice))
    assert np.abs(one - once).min() > 0.05
    assert one == pytest.approx(two, abs=0.005)


def test_all_weights_doubled_change_no_gain_where_the_evidence_is_overwhelming() -> None:
    random = np.random.default_rng(8)
    tokens = 2 + random.integers(0, 10, (20_000, 1))
    rows = log_of(random, tokens, random.normal(0, 1, 12)[tokens[:, 0]])
    double = Rows(rows.clicks, 2 * rows.weights, rows.logits, rows.tokens)
    one, two = (effect_of(rows, places_of(rows, [12])) for rows in (rows, double))
    assert two.gain == pytest.approx(one.gain, rel=0.02)
    assert two.error == pytest.approx(one.error, rel=0.02)


@pytest.mark.parametrize("clicks", [0.0, 1.0])
@pytest.mark.parametrize("count", [1, 2, 500])
@pytest.mark.parametrize("same_value", [True, False])
@pytest.mark.parametrize("logit", [0.0, 60.0, -60.0])
def test_degenerate_rows_have_finite_effects(clicks: float, count: int, same_value: bool, logit: float) -> None:
    tokens = np.full((count, 1), 2) if same_value else 2 + np.arange(count)[:, None]
    rows = Rows(np.full(count, clicks), np.ones(count), np.full(count, logit), tokens.astype(np.int32))
    effect = effect_of(rows, places_of(rows, [count + 2]))
    assert np.isfinite([*effect.by, effect.gain, effect.error]).all()
    assert np.abs(effect.by).max() <= 4.0


def test_values_that_are_always_clicked_are_told() -> None:
    tokens = np.array([[0], [0], [1], [1], [2], [3], [3]], np.int32)
    rows = Rows(np.array([1.0, 1, 1, 0, 1, 0, 0]), np.ones(7), np.zeros(7), tokens)
    assert share_of_one_label(rows, Places.of(rows, [0], [4])) == 0.5
    folded = replace(rows, folds=np.arange(7) % 2)
    assert share_of_one_label(folded, Places.of(folded, [0], [4])) == 0.5
    assert share_of_one_label(rows, Places.of(replace(rows, tokens=np.arange(7)[:, None]), [0], [7])) == 0.0


def test_rows_of_another_fold_are_not_asked() -> None:
    """The model that left their residuals was trained on the row itself."""
    tokens = (np.arange(4000)[:, None] // 2).astype(np.int32)
    clicks = np.repeat(np.random.default_rng(5).integers(0, 2, 2000), 2).astype(float)
    whole = Rows(clicks, np.ones(4000), np.zeros(4000), tokens)
    parted = replace(whole, folds=np.arange(4000) % 2)
    assert effect_of(whole, Places.of(whole, [0], [2000])).by.std() > 0.5
    assert effect_of(parted, Places.of(parted, [0], [2000])).by.std() == 0


def test_a_model_that_is_too_sure_is_put_right_fold_by_fold() -> None:
    random = np.random.default_rng(8)
    logits = random.normal(size=40_000)
    clicks = (random.random(40_000) < 1 / (1 + np.exp(-logits))).astype(float)
    folds = np.arange(40_000) % 2
    sure = np.where(folds == 0, 2.0 * logits + 0.5, 0.7 * logits - 1.0)
    tokens = random.integers(0, 50, (40_000, 1)).astype(np.int32)
    rows = Rows(clicks, np.ones(40_000), sure, tokens, folds)
    right = rows.calibrated()
    assert np.abs(right.logits - logits).mean() < 0.05
    assert effect_of(rows, Places.of(rows, [0], [50])).gain > 0.01
    assert abs(effect_of(right, Places.of(right, [0], [50])).gain) < 1e-4


def test_clicks_alone_are_put_right_to_finite_logits() -> None:
    rows = Rows(np.ones(50), np.ones(50), np.linspace(-1, 1, 50), np.zeros((50, 1), np.int32))
    assert np.isfinite(rows.calibrated().logits).all()
