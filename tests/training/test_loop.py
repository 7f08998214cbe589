"""The training loop: one seed one set of weights, a loss that runs away is told, and best weights are kept."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from clicks import Silent, click_log, small_config

import dagfm

PHASES = ("teacher_training/teacher", "distillation/student", "finetuning/student")


def weights(run: Path) -> dict[str, bytes]:
    """The weights of every finished phase, by its place in the run."""
    return {str(path.parent.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("weights.safetensors"))}


def test_one_seed_gives_one_set_of_weights_and_another_seed_another(folder: Path, log_path: Path) -> None:
    config = small_config(log_path)
    runs = [
        dagfm.fit(config, folder / name, overrides=[f"training.seed={seed}"], progress=Silent()).directory
        for name, seed in (("one", 7), ("same", 7), ("other", 8))
    ]
    one, same, other = map(weights, runs)
    assert one == same
    assert one.keys() == other.keys()
    assert all(one[phase] != other[phase] for phase in one)


def test_more_models_change_no_other_models_weights(folder: Path, log_path: Path) -> None:
    config = small_config(log_path)
    alone = dagfm.fit(config, folder / "alone", progress=Silent()).directory
    students = [{"name": "lean", "depth": 1}, {"name": "student", "depth": 2}]
    company = dagfm.fit(
        config | {"student": students}, folder / "company", baselines=["fm", "scratch"], progress=Silent()
    ).directory
    mine, theirs = weights(alone), weights(company)
    for phase in PHASES:
        assert mine[phase] == theirs[phase]
    assert {path.split("/")[1] for path in theirs if path.startswith("baselines/")} == {"fm", "scratch", "scratch-lean"}


def test_seeds_of_one_run_are_the_runs_of_these_seeds(folder: Path, log_path: Path) -> None:
    both = dagfm.fit(small_config(log_path), folder / "both", seeds=2, progress=Silent()).directory
    second = dagfm.fit(
        small_config(log_path), folder / "second", overrides=["training.seed=2023"], progress=Silent()
    ).directory
    for phase in PHASES:
        name = "weights.safetensors"
        assert (both / phase / "seed-2023" / name).read_bytes() == (second / phase / name).read_bytes()


def test_training_leaves_the_callers_random_numbers_alone(folder: Path, log_path: Path) -> None:
    import torch

    before = torch.get_rng_state()
    dagfm.fit(small_config(log_path), folder / "run", progress=Silent())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("phase", ["teacher_training", "distillation", "finetuning"])
@pytest.mark.parametrize(("batch_size", "told"), [(64, "the loss is "), (10_000, "the validation logloss is nan")])
def test_a_run_that_diverges_is_told_and_can_be_repeated_with_less(
    folder: Path, phase: str, batch_size: int, told: str
) -> None:
    click_log(300).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["training"] |= {"batch_size": batch_size, phase: {"epochs": 2, "learning_rate": 1e8}}
    with pytest.raises(dagfm.DagfmError, match=rf"{phase} of .*{told}.* in epoch 1; lower its learning_rate") as error:
        dagfm.fit(config, folder / "run", progress=Silent())
    assert error.value.exit_code == 1
    overrides = [f"training.{phase}.learning_rate=0.01"]
    assert dagfm.fit(config, folder / "run", overrides=overrides, progress=Silent()).results["served"] is not None


def test_patience_ends_a_phase_and_the_best_epoch_counts(folder: Path) -> None:
    click_log(300).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["training"]["teacher_training"] = {
        "epochs": 50, "learning_rate": 0.05, "schedule": "constant", "patience": 2, "decay": 0.0,
    }  # fmt: skip
    run = dagfm.fit(config, folder / "run", progress=Silent())
    lines = [
        json.loads(line)
        for line in (run.directory / "teacher_training" / "teacher" / "metrics.jsonl").read_text().splitlines()
    ]
    figures = [line["valid"]["auc"] for line in lines]
    best = figures.index(max(figures))
    assert len(lines) == best + 3 < 50
    assert run.results["models"][0]["best_epoch"] == best + 1
    assert run.results["models"][0]["metrics"]["valid"]["auc"] == max(figures)
