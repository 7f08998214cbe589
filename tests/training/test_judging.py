"""When a model is judged, which weights are kept, and when patience ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from clicks import Silent, click_log, small_config

import dagfm
from dagfm.data.prepare import prepare
from dagfm.training.judging import evaluation_points
from dagfm.training.workshop import Workshop


@pytest.mark.parametrize(
    ("batches", "evaluations", "after"),
    [(7, 1, (7,)), (7, 2, (4, 7)), (7, 3, (3, 5, 7)), (8, 4, (2, 4, 6, 8)), (2, 5, (1, 2)), (1, 3, (1,))],
)
def test_evaluations_are_spread_over_the_epoch_and_its_end_is_one(
    batches: int, evaluations: int, after: tuple[int, ...]
) -> None:
    assert evaluation_points(batches, evaluations) == after


def lines_of(folder: Path, **settings: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The teacher's line of results and its evaluations; 7 batches an epoch."""
    click_log(1000).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"), phase="teacher_training")
    config["training"] |= {"batch_size": 128, "teacher_training": settings}
    run = dagfm.fit(config, folder / "run", progress=Silent())
    path = run.directory / "teacher_training" / "teacher" / "metrics.jsonl"
    return run.results["models"][0], [json.loads(line) for line in path.read_text().splitlines()]


def test_the_best_evaluation_inside_an_epoch_counts(folder: Path) -> None:
    overshooting = {"epochs": 4, "learning_rate": 0.5, "schedule": "constant", "monitor": "logloss", "ema": 0.0}
    model, lines = lines_of(folder, **overshooting, evaluations_per_epoch=3, patience=4)
    assert [line["passed"] for line in lines[:4]] == [0.4286, 0.7143, 1, 1.4286]
    assert [line["epoch"] for line in lines[:4]] == [0, 0, 0, 1]
    figures = [line["valid"]["logloss"] for line in lines]
    best = figures.index(min(figures))
    assert lines[best]["passed"] % 1 != 0, "or the test shows nothing"
    assert model["best_epoch"] == lines[best]["passed"]
    assert model["metrics"]["valid"]["logloss"] == min(figures)


def test_patience_counts_epochs_and_may_end_within_one(folder: Path) -> None:
    settings = {"epochs": 50, "learning_rate": 0.3, "evaluations_per_epoch": 3, "patience": 2, "monitor": "logloss"}
    model, lines = lines_of(folder, **settings)
    figures = [line["valid"]["logloss"] for line in lines]
    best = figures.index(min(figures))
    assert len(lines) == best + 1 + 2 * 3
    assert model["epochs"] == lines[-1]["passed"] < 50


def test_auto_evaluates_inside_an_epoch_of_many_steps(folder: Path) -> None:
    click_log(300).write_parquet("clicks.parquet")
    config = dagfm.load_config(small_config(Path("clicks.parquet")))
    shop = Workshop(config, prepare(config, folder, Silent()), 1, torch.device("cpu"), Silent())

    class Many:
        def __len__(self) -> int:
            return self.rows

        def __init__(self, steps: int) -> None:
            self.rows = steps * shop.batch_size

    def evaluations(steps: int) -> int:
        object.__setattr__(shop.prepared, "train", Many(steps))
        return int(shop.settled(config.training.distillation).evaluations_per_epoch)

    assert [evaluations(steps) for steps in (10, 2000, 2999, 4000, 8000, 1_000_000)] == [1, 1, 1, 2, 4, 5]


def test_an_average_of_the_weights_is_what_is_judged_and_kept(folder: Path) -> None:
    settings = {"epochs": 2, "learning_rate": 0.05, "schedule": "constant"}
    plain, _ = lines_of(folder, **settings)
    averaged, lines = lines_of(folder, **settings, ema=0.9)
    assert averaged["metrics"]["valid"] != plain["metrics"]["valid"]
    assert averaged["metrics"]["valid"]["auc"] == max(line["valid"]["auc"] for line in lines)
