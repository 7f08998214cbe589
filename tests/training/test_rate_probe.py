"""A learning rate from a trial: its rule, and a run that finds it, says it and finds it again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from clicks import Told, click_log, small_config

import dagfm
from dagfm.training.rate_probe import probed_rate


class Endless:
    """Batches that nobody looks into; an epoch has two."""

    def epoch(self, number: int) -> Iterator[Any]:
        yield from (None, None)


def probed(loss_at: Any) -> float:
    return probed_rate(lambda examples, rate: torch.tensor(loss_at(rate)), Endless())  # type: ignore[arg-type]


@pytest.mark.parametrize("cliff", [0.003, 0.03, 0.3])
def test_a_tenth_of_the_rate_before_the_loss_grows(cliff: float) -> None:
    found = probed(lambda rate: 1.0 - rate if rate < cliff else 50.0)
    assert found == pytest.approx(cliff / 10, rel=0.1)


def test_a_loss_that_is_not_finite_ends_the_trial() -> None:
    rates = []

    def loss(rate: float) -> float:
        rates.append(rate)
        return 1.0 - rate if rate < 0.01 else float("nan")

    assert probed(loss) == pytest.approx(1e-3, rel=0.1)
    assert max(rates) == pytest.approx(0.01, rel=0.1)


def test_a_loss_that_falls_to_the_end_gives_a_tenth_of_the_fastest() -> None:
    falling = itertools.count(1000, -1)
    assert probed(lambda rate: float(next(falling))) == 0.1


def test_a_run_finds_says_and_keeps_its_rate(folder: Path) -> None:
    click_log(600).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"), phase="teacher_training")
    config["training"]["teacher_training"] |= {"learning_rate": "auto"}
    told = Told()
    entry = dagfm.fit(config, folder / "run", progress=told).results["models"][0]
    found = entry["learning_rate"]
    assert 1e-5 <= found <= 0.1
    assert any(f"learning rate {found:g}" in line for line in told.lines)
    given = dagfm.fit(
        config, folder / "given", overrides=[f"training.teacher_training.learning_rate={found}"], progress=Told()
    )
    place = "teacher_training/teacher/weights.safetensors"
    assert (folder / "run" / place).read_bytes() == (given.directory / place).read_bytes()
