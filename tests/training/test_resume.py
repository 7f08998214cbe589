"""A phase that is broken off within an epoch goes on to the same bytes; a damaged checkpoint is refused by name."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from clicks import Silent, click_log, small_config, titles_of_steps

import dagfm
from dagfm.training import loop
from dagfm.training.checkpoint import load_checkpoint

TITLES = {
    "teacher_training": "teacher_training of teacher",  # with dropout
    "distillation": "distillation of student",  # with recombined rows
    "finetuning": "finetuning of student",
    "scratch": "baseline scratch",
}


class BrokenOffError(Exception):
    """What stands for a kill."""


def break_off(monkeypatch: pytest.MonkeyPatch, title: str, step: int) -> None:
    """Make the ``step``-th step, from 1, of the phase called ``title`` raise; every batch leaves a checkpoint."""
    steps = loop._Training._step
    count = 0

    def breaking(self: Any, *arguments: Any) -> Any:
        nonlocal count
        if self.task.title.startswith(title):
            count += 1
            if count == step:
                raise BrokenOffError
        return steps(self, *arguments)

    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(loop._Training, "_step", breaking)


def weights(run: Path) -> dict[str, bytes]:
    return {str(path.parent.relative_to(run)): path.read_bytes() for path in sorted(run.rglob("weights.safetensors"))}


def metrics(results: Any) -> list[Any]:
    return [line["metrics"] for line in results["models"]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, its configuration (7 batches an epoch) and an uninterrupted run of it."""
    folder = tmp_path_factory.mktemp("resume")
    click_log(1000).write_parquet(folder / "clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["training"]["batch_size"] = 128
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    _fit(folder, folder / "whole")
    return folder


def _fit(home: Path, run: Path) -> dagfm.Run:
    return dagfm.fit(home / "dagfm.yaml", run, baselines=["scratch"], progress=Silent())


@pytest.mark.parametrize("phase", TITLES)
@pytest.mark.parametrize("step", [4, 11])
def test_a_phase_broken_off_within_an_epoch_goes_on_to_the_same_bytes(
    home: Path, tmp_path: Path, phase: str, step: int
) -> None:
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        break_off(patch, TITLES[phase], step)
        _fit(home, run)
    (state,) = run.rglob("checkpoint.json")
    position = json.loads(state.read_text())["position"]
    assert position["epoch"] * 7 + position["batch"] == step - 1
    resumed = _fit(home, run)
    assert weights(run) == weights(home / "whole")
    assert metrics(resumed.results) == metrics(json.loads((home / "whole" / "results.json").read_text()))
    assert not list(run.rglob("checkpoint*"))


def test_running_figures_of_batch_normalisation_and_dropout_between_layers_go_on_too(tmp_path: Path) -> None:
    config = small_config(tmp_path / "clicks.parquet", phase="teacher_training")
    config["training"]["batch_size"] = 128
    config["teacher"] = {"network": "dcnv2", "hidden": [8, 4], "dropout": 0.3, "batch_norm": True}
    click_log(1000).write_parquet(tmp_path / "clicks.parquet")
    dagfm.fit(config, tmp_path / "whole", progress=Silent())
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        break_off(patch, TITLES["teacher_training"], 11)
        dagfm.fit(config, tmp_path / "run", progress=Silent())
    dagfm.fit(config, tmp_path / "run", progress=Silent())
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


@pytest.mark.parametrize("network", ["qnn", "finalnet", "fcn"])
def test_running_figures_and_dropout_of_a_network_go_on_too(home: Path, tmp_path: Path, network: str) -> None:
    """800 training rows: the last batch of an epoch is a single row, which has no variance."""
    config = dagfm.load_config(
        home / "dagfm.yaml", [f"teacher.network={network}", "phase=teacher_training", "training.batch_size=47"]
    )
    dagfm.fit(config, tmp_path / "whole", progress=Silent())
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        break_off(patch, TITLES["teacher_training"], 20)
        dagfm.fit(config, tmp_path / "run", progress=Silent())
    dagfm.fit(config, tmp_path / "run", progress=Silent())
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")


def test_every_step_may_be_the_last(home: Path, tmp_path: Path) -> None:
    """Broken off again and again, two steps further each time."""
    run = tmp_path / "run"
    for _ in range(6):
        with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
            break_off(patch, TITLES["teacher_training"], 3)
            _fit(home, run)
    _fit(home, run)
    assert weights(run) == weights(home / "whole")


OPTIMISATIONS: dict[str, dict[str, Any]] = {
    "looked-up rows": {"updated_rows": "looked_up", "decay": 0.01},
    "average of the weights": {"ema": 0.9},
    "average, looked-up rows": {"ema": 0.9, "updated_rows": "looked_up", "decay": 0.01},
    "evaluations inside": {"evaluations_per_epoch": 3, "epochs": 3, "learning_rate": 0.1, "patience": 1},
    "warm-up": {"warm_up_steps": 5},
    "learning rate of a trial": {"learning_rate": "auto"},
}


@pytest.mark.parametrize("settings", OPTIMISATIONS.values(), ids=OPTIMISATIONS)
def test_whatever_a_phase_keeps_from_step_to_step_is_in_its_checkpoint(
    home: Path, tmp_path: Path, settings: dict[str, Any]
) -> None:
    config = yaml.safe_load((home / "dagfm.yaml").read_text()) | {"phase": "teacher_training"}
    config["data"]["train"] = str(home / "clicks.parquet")
    config["training"]["teacher_training"] |= settings
    (tmp_path / "dagfm.yaml").write_text(yaml.safe_dump(config))
    for run, breaks in ((tmp_path / "whole", 0), (tmp_path / "broken", 4)):
        for _ in range(breaks):
            with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
                break_off(patch, TITLES["teacher_training"], 3)
                dagfm.fit(tmp_path / "dagfm.yaml", run, progress=Silent())
        dagfm.fit(tmp_path / "dagfm.yaml", run, progress=Silent())
    assert weights(tmp_path / "broken") == weights(tmp_path / "whole")
    place = "teacher_training/teacher"
    assert weights(tmp_path / "whole")[place] != weights(home / "whole")[place]
    assert _lines(tmp_path / "broken") == _lines(tmp_path / "whole")


def _lines(run: Path) -> list[dict[str, Any]]:
    """Every evaluation, without how long it all took."""
    path = run / "teacher_training" / "teacher" / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "rows_per_second"} for line in lines]


def test_broken_off_while_the_last_figures_are_measured_no_step_is_repeated(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagfm.training import one_phase

    def breaking(*arguments: Any) -> Any:
        raise BrokenOffError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        patch.setattr(one_phase, "_finish", breaking)
        _fit(home, tmp_path / "run")
    titles = titles_of_steps(monkeypatch)
    _fit(home, tmp_path / "run")
    assert not [title for title in titles if title.startswith("teacher_training")]
    assert weights(tmp_path / "run") == weights(home / "whole")


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


@pytest.fixture(scope="module")
def broken(home: Path) -> Path:
    """A run that stands in the middle of its first epoch of distillation."""
    run = home / "broken"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        break_off(patch, TITLES["distillation"], 4)
        _fit(home, run)
    return run


@pytest.mark.parametrize("damage", [_cut, _flip, Path.unlink])
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("distillation/student/checkpoint-0-3.safetensors", "checkpoint is missing, truncated or altered"),
        ("teacher_training/teacher/weights.safetensors", "finished phase"),
        ("teacher_logits/train.npy", "finished phase"),
        ("teacher_logits/pool-logits.npy", "finished phase"),
    ],
)
def test_damage_is_refused_with_the_files_name_and_how_to_go_on(
    home: Path, broken: Path, tmp_path: Path, name: str, told: str, damage: Callable[[Path], None]
) -> None:
    run = tmp_path / "run"
    shutil.copytree(broken, run)
    damage(run / name)
    with pytest.raises(dagfm.InputError) as error:
        _fit(home, run)
    stage = (run / name).parent
    assert str(run / name) in str(error.value)
    assert told in str(error.value)
    assert f"delete {stage}" in str(error.value)


def test_what_was_damaged_is_redone_once_it_is_deleted(home: Path, broken: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(broken, run)
    for stage in ("distillation/student", "teacher_logits"):
        shutil.rmtree(run / stage)
    _fit(home, run)
    assert weights(run) == weights(home / "whole")


def test_a_checkpoint_of_another_version_is_refused(
    home: Path, broken: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    shutil.copytree(broken, run)
    monkeypatch.setattr("dagfm.training.checkpoint._FORMAT", 3)
    with pytest.raises(dagfm.InputError, match=r"checkpoint\.json: checkpoint of another version .*; delete .*student"):
        _fit(home, run)


@pytest.mark.parametrize("change", [{"epoch": 1}, {"best": 0.9}, {"more": 1}])
def test_an_altered_state_is_refused(home: Path, broken: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    run = tmp_path / "run"
    shutil.copytree(broken, run)
    path = run / "distillation" / "student" / "checkpoint.json"
    state = json.loads(path.read_text())
    state["position"] |= change
    path.write_text(json.dumps(state))
    with pytest.raises(dagfm.InputError, match=r"checkpoint\.json: checkpoint is altered; delete .*student"):
        _fit(home, run)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"tensors": "x"}'])
def test_a_checkpoints_state_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "checkpoint.json").write_text(text)
    with pytest.raises(dagfm.InputError, match="checkpoint"):
        load_checkpoint(tmp_path)
