"""How much each teacher of several has to say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from clicks import Silent, Told, click_log, small_config
from hypothesis import given, settings
from hypothesis import strategies as st

import dagfm
from dagfm import metrics
from dagfm.training.weighing import weigh


def logloss(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(metrics.cross_entropy(labels.astype(np.float64), logits.astype(np.float64)).mean())


def members_of(truth: np.ndarray, noise: tuple[float, ...], seed: int = 1) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [(truth + level * random.normal(size=len(truth))).astype(np.float32) for level in noise]


def drawn(n: int = 20_000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    truth = random.normal(size=n) * 2
    return truth, (random.random(n) < 1 / (1 + np.exp(-truth))).astype(np.float32)


def test_who_knows_more_counts_more_and_who_knows_nothing_nothing() -> None:
    truth, labels = drawn()
    nothing = np.random.default_rng(5).normal(size=len(truth)).astype(np.float32)
    found = weigh(labels, [*members_of(truth, (0.5, 1.5)), nothing], None)
    good, poor, none = found.weights
    assert good > 2 * poor > 0
    assert none < 0.03
    assert sum(found.weights) == pytest.approx(1)
    assert found.pays


def test_equals_count_alike_and_that_is_no_gain() -> None:
    truth, labels = drawn()
    found = weigh(labels, members_of(truth, (0.7, 0.7)), None)
    assert found.weights == pytest.approx((0.5, 0.5), abs=0.05)
    assert not found.pays


def test_a_teacher_that_is_there_twice_is_no_problem_nor_are_some_that_say_nothing() -> None:
    truth, labels = drawn(2000)
    (one,) = members_of(truth, (0.5,))
    assert sum(weigh(labels, [one, one], None).weights) == pytest.approx(1)
    assert np.isfinite(weigh(labels, [np.zeros_like(one)] * 2, None).logloss)


def test_who_is_mostly_wrong_is_left_out() -> None:
    truth, labels = drawn(5000)
    right, wrong = members_of(truth, (0.5, 0.5))
    assert weigh(labels, [right, -0.2 * wrong], None).weights == pytest.approx((1, 0))


def test_where_nobody_knows_anything_all_count_alike() -> None:
    _, labels = drawn(5000)
    found = weigh(labels, [np.zeros(5000, np.float32)] * 2, None)
    assert found.weights == (0.5, 0.5) and not found.pays


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(0.1, 3), min_size=2, max_size=4), st.integers(0, 1000))
def test_no_other_weights_are_better(noise: list[float], seed: int) -> None:
    truth, labels = drawn(1500, seed)
    members = members_of(truth, tuple(noise), seed)
    found = weigh(labels, members, None)

    def best(weights: np.ndarray) -> float:
        return min(logloss(labels, scale * (weights @ np.stack(members))) for scale in np.linspace(0.3, 2.5, 221))

    ours = best(np.array(found.weights))
    random = np.random.default_rng(seed)
    others = [best(weights) for weights in random.dirichlet(np.ones(len(noise)), 15)]
    assert ours <= min(others) + 1e-5
    assert found.gain >= -1e-9


def test_rows_count_by_their_weight() -> None:
    truth, labels = drawn(4000)
    first, second = members_of(truth, (0.5, 0.3))
    half = np.arange(len(truth)) < 2000
    first[half] *= -1
    second[~half] *= -1  # each knows one half
    only = weigh(labels, [first, 0.5 * second], half.astype(np.float32))
    assert only.weights == pytest.approx((0, 1), abs=1e-6)


def test_a_run_tells_and_keeps_what_its_teachers_count(tmp_path: Path) -> None:
    click_log(3000).write_parquet(tmp_path / "clicks.parquet")
    eager = {"learning_rate": 0.03, "epochs": 5}
    teachers = [
        {"network": "crossnet", "depth": 1, "training": eager},
        {"network": "fm", "training": {"learning_rate": 1e-6}},
    ]
    config = small_config(Path("clicks.parquet"), teacher=teachers)
    (tmp_path / "dagfm.yaml").write_text(yaml.safe_dump(config))
    logits = {}
    for combine in ("mean", "weighted"):
        told = Told()
        run = dagfm.fit(
            tmp_path / "dagfm.yaml",
            tmp_path / "run",
            overrides=[f"distillation.combine={combine}", "distillation.calibrate=false"],
            progress=told,
        )
        cache = run.directory / "teacher_logits"
        logits[combine] = np.load(cache / "test.npy")
        own = [
            np.load(run.directory / "teacher_training" / name / "test-logits.npy") for name in ("crossnet-1", "fm-2")
        ]
        told_weights = [line for line in told.lines if "the teachers count" in line]
        (calibration,) = json.loads((run.directory / "results.json").read_text())["calibration"]
        if combine == "mean":
            assert np.allclose(logits[combine], (own[0] + own[1]) / 2, atol=1e-6)
            assert not told_weights and "weighing" not in calibration
        else:
            first, second = calibration["weighing"]["found"]["weights"]
            assert calibration["weighing"]["used"]
            assert np.allclose(logits[combine], first * own[0] + second * own[1], atol=1e-6)
            assert len(told_weights) == 1
    assert not np.array_equal(logits["mean"], logits["weighted"])
    again = dagfm.fit(
        tmp_path / "dagfm.yaml",
        tmp_path / "run",
        overrides=["distillation.combine=weighted", "distillation.calibrate=false"],
        progress=Silent(),
    )
    assert np.array_equal(np.load(again.directory / "teacher_logits" / "test.npy"), logits["weighted"])
