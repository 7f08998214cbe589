"""The learning rate is a function of the step."""

from __future__ import annotations

import math

import pytest

from dagfm.config.phases import PhaseConfig
from dagfm.training.schedules import learning_rate


def rates(steps: int, **settings: object) -> list[float]:
    phase = PhaseConfig.model_validate({"learning_rate": "auto", "epochs": 1, **settings})
    return [learning_rate(phase, 0.4, step, steps) for step in range(steps)]


def test_cosine_falls_from_the_learning_rate_towards_zero() -> None:
    assert rates(4) == pytest.approx([0.4, 0.2 + 0.2 * math.sqrt(0.5), 0.2, 0.2 - 0.2 * math.sqrt(0.5)])


def test_constant_stays() -> None:
    assert rates(3, schedule="constant") == [0.4, 0.4, 0.4]


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_warm_up_rises_in_a_line_and_the_schedule_has_what_is_left(schedule: str) -> None:
    risen = rates(10, warm_up_steps=3, schedule=schedule)
    assert risen[:4] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert risen[3:] == pytest.approx(rates(7, schedule=schedule))


def test_warm_up_longer_than_the_phase_is_all_of_it() -> None:
    assert rates(2, warm_up_steps=3) == pytest.approx([0.1, 0.2])
