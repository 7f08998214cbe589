from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from clicks import Silent, Told, small_config

from dagfm.config import load_config
from dagfm.data.prepare import prepare
from dagfm.memorize.base import network_of, rows_without_memory
from dagfm.memorize.effects import Rows
from dagfm.memorize.together import side_by_side
from dagfm.progress import Progress
from dagfm.training.workshop import Workshop

CPU = torch.device("cpu")


class Watched(Told):
    """Progress that remembers all it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[tuple[int, int]] = []
        self.done = self.finished = 0

    def start(self, title: str, rows: int, done: int = 0) -> None:
        self.parts.append((rows, done))

    def advance(self, rows: int) -> None:
        self.done += rows

    def finish(self) -> None:
        self.finished += 1


@pytest.fixture(params=[1, 2], ids=["in turn", "at once"])
def at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("dagfm.memorize.together.threads", lambda: request.param)
    return request.param


def test_results_come_in_order_and_are_told_as_one(at_once: int) -> None:
    watch = Watched()

    def training(number: int, told: Progress) -> int:
        told.start(f"fold {number}", 100, done=10)
        for _ in range(9):
            told.advance(10)
        told.line("done")
        told.finish()
        return number

    found = side_by_side("both", [lambda told: training(1, told), lambda told: training(2, told)], watch, CPU)
    assert found == [1, 2]
    assert watch.parts[-1][0] == 200  # the bar is as long as both
    assert watch.done == 180
    assert sorted(watch.lines) == ["fold 1: done", "fold 2: done"]
    assert watch.finished in (1, 2)


def test_where_one_fails_the_other_ends(at_once: int) -> None:
    def fails(told: Progress) -> None:
        raise ValueError("broken")

    def runs(told: Progress) -> None:
        while True:
            told.advance(1)

    with pytest.raises(ValueError, match="broken"):
        side_by_side("both", [fails, runs], Silent(), CPU)


def test_folds_side_by_side_are_the_folds_in_turn(
    tmp_path: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagfm.memorize.base._STEPS", 4)
    config = load_config(small_config(log_path))
    prepared = prepare(config, tmp_path)
    before = torch.get_rng_state()
    found: list[Rows] = []
    for count in 1, 2:
        monkeypatch.setattr("dagfm.memorize.together.threads", lambda count=count: count)
        shop = Workshop(config, prepared, 1, CPU, Silent())
        found.append(rows_without_memory(shop, network_of(config), np.arange(1_000), tmp_path / str(count)))
    assert torch.equal(torch.get_rng_state(), before)
    assert found[0].logits.std() > 0.01
    for name in "clicks", "weights", "logits", "tokens":
        assert np.array_equal(getattr(found[0], name), getattr(found[1], name))
    for fold in "fold-1", "fold-2":
        one, other = ((tmp_path / count / fold / "weights.safetensors").read_bytes() for count in "12")
        assert one == other
