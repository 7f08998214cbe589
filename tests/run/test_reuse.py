"""What is finished in another run, or under another name in the same one, is taken over, byte for byte."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from clicks import BOOSTED, Told, click_log, small_config, titles_of_steps
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.errors import InputError
from dagfm.training import reuse

CROSS, FLAT, FM = (
    {"network": "crossnet", "depth": 2},
    {"network": "crossnet", "depth": 1},
    {"network": "fm", "size": 3},
)


class Fits:
    """Fits configurations on one log, and tells which models each time were trained."""

    def __init__(self, folder: Path, titles: list[str]) -> None:
        self.folder, self._titles = folder, titles
        self.told: list[str] = []

    def __call__(self, run: Path, teacher: Any, *others: Path, **more: Any) -> dagfm.Run:
        self._titles.clear()
        watch = Told()
        config = small_config(self.folder / "clicks.parquet") | {"teacher": teacher}
        path = self.folder / "dagfm.yaml"
        path.write_text(yaml.safe_dump(config))
        done = dagfm.fit(path, run, reuse=others, progress=watch, **more)
        self.told = [line for line in watch.lines if "taken over" in line]
        return done

    @property
    def trained(self) -> list[str]:
        """Titles of the training loops that made at least one step, without the seed."""
        return [title.partition(" (seed")[0] for title in dict.fromkeys(self._titles)]

    @property
    def members(self) -> list[str]:
        return [title.removeprefix("teacher_training of ") for title in self.trained if "teacher_training" in title]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small log and a finished run ``a`` of three members and both baselines; nobody changes it."""
    folder = tmp_path_factory.mktemp("base")
    click_log(600).write_parquet(folder / "clicks.parquet")
    Fits(folder, [])(folder / "a", [CROSS, FM, BOOSTED], baselines=["scratch", "fm"])
    return folder


@pytest.fixture
def fits(base: Path, monkeypatch: pytest.MonkeyPatch) -> Fits:
    titles = titles_of_steps(monkeypatch)
    return Fits(base, titles)


@pytest.fixture
def a(base: Path, tmp_path: Path) -> Path:
    """A copy of the finished run that may be damaged."""
    shutil.copytree(base / "a", tmp_path / "a")
    return tmp_path / "a"


def made(run: Path) -> dict[str, bytes]:
    """What training leaves, by place in the run."""
    kinds = (".safetensors", ".npy", ".txt")
    return {str(path.relative_to(run)): path.read_bytes() for path in run.rglob("*") if path.suffix in kinds}


def lines(run: dagfm.Run) -> list[tuple[Any, ...]]:
    return [(line["name"], line["phase"], line["metrics"]) for line in run.results["models"]]


def test_members_shared_with_another_run_are_not_trained_again(base: Path, fits: Fits, tmp_path: Path) -> None:
    members = [FLAT, {**FM, "name": "other"}, BOOSTED]
    run = fits(tmp_path / "b", members, base / "a")
    assert fits.members == ["crossnet-1"]
    assert fits.told == [
        f"teacher_training of {mine} (seed 2022) is taken over from {base}/a/teacher_training/{theirs}"
        for mine, theirs in (("other", "fm-2"), ("boosted-3", "boosted-3"))
    ]
    anew = fits(tmp_path / "anew", members)
    assert fits.told == []
    assert made(run.directory) == made(anew.directory)
    assert lines(run) == lines(anew)
    taken = {line["name"]: line for line in run.results["reused"]}
    assert taken.keys() == {"other", "boosted-3"}
    assert taken["other"]["run"] == str((base / "a").resolve())
    assert taken["other"]["stage"] == "teacher_training/fm-2"
    assert all(line["training_seconds"] > 0 for line in taken.values())
    assert anew.results["reused"] == []


def test_a_run_of_equal_members_takes_everything_over(base: Path, fits: Fits, tmp_path: Path) -> None:
    run = fits(tmp_path / "b", [CROSS, FM, BOOSTED], base / "a", baselines=["scratch", "fm"])
    assert fits.trained == []
    assert made(run.directory) == made(base / "a")
    phases = [(line["name"], line["phase"]) for line in run.results["reused"]]
    assert phases == [
        *((name, "teacher_training") for name in ("crossnet-1", "fm-2", "boosted-3")),
        *(("student", phase) for phase in ("distillation", "finetuning")),
        *((name, "scratch") for name in ("scratch", "fm")),
        (None, "teacher_logits"),
    ]
    again = fits(tmp_path / "b", [CROSS, FM, BOOSTED], baselines=["scratch", "fm"])
    assert (fits.trained, fits.told) == ([], [])
    assert again.results == run.results


def test_another_student_pays_for_itself_alone(base: Path, fits: Fits, tmp_path: Path) -> None:
    overrides = ["student.depth=1"]
    run = fits(tmp_path / "b", [CROSS, FM, BOOSTED], base / "a", overrides=overrides, baselines=["fm"])
    assert fits.trained == ["distillation of student", "finetuning of student"]
    anew = fits(tmp_path / "anew", [CROSS, FM, BOOSTED], overrides=overrides, baselines=["fm"])
    assert made(run.directory) == made(anew.directory)


def test_a_baseline_is_measured_against_the_present_teacher(base: Path, fits: Fits, tmp_path: Path) -> None:
    run = fits(tmp_path / "b", FLAT, base / "a", baselines=["fm"])
    assert not any("baseline" in title for title in fits.trained)
    assert lines(run) == lines(fits(tmp_path / "anew", FLAT, baselines=["fm"]))
    assert made(base / "a")["baselines/fm/decay-0.001-dropout-0.1/test-logits.npy"]


def test_students_draw_by_their_names(base: Path, fits: Fits, tmp_path: Path) -> None:
    overrides = ["student={name: other, depth: 2}"]
    run = fits(tmp_path / "b", [CROSS, FM, BOOSTED], base / "a", overrides=overrides)
    assert fits.trained == ["distillation of other", "finetuning of other"]
    weights = "distillation/{}/weights.safetensors"
    assert made(run.directory)[weights.format("other")] != made(base / "a")[weights.format("student")]


@pytest.mark.parametrize("override", ["training.seed=7", "data.split.seed=1", "training.teacher_training.epochs=1"])
def test_what_is_made_from_something_else_is_not_taken(base: Path, fits: Fits, tmp_path: Path, override: str) -> None:
    fits(tmp_path / "b", [CROSS, FM], base / "a", overrides=[override])
    assert fits.members == ["crossnet-1", "fm-2"]
    assert fits.told == []


def test_trees_are_grown_anew_over_folds_of_another_run(base: Path, fits: Fits, tmp_path: Path) -> None:
    more = {**BOOSTED, "trees": 9}
    run = fits(tmp_path / "b", [more, FM], base / "a")
    assert fits.members == []
    anew = fits(tmp_path / "anew", [more, FM])
    assert made(run.directory) == made(anew.directory)
    assert {line["name"] for line in run.results["reused"]} == {"boosted-1", "fm-2"}


@pytest.mark.parametrize(
    ("before", "after", "trained"),
    [
        ([CROSS, FLAT], [FLAT, CROSS], []),
        ([CROSS, FLAT], [{**CROSS, "depth": 3}, CROSS, FLAT], ["crossnet-1"]),
        ([{**CROSS, "name": "a"}, {**FM, "name": "b"}], [{**FM, "name": "a"}, {**CROSS, "name": "b"}], []),
        ([{**BOOSTED, "name": "a"}, {**FM, "name": "b"}], [{**FM, "name": "a"}, {**BOOSTED, "name": "b"}], []),
        ([FM, FLAT], FLAT, []),
    ],
    ids=["order", "one before", "names swapped", "names of trees swapped", "one alone"],
)
def test_within_a_run_names_and_order_may_change(
    fits: Fits, tmp_path: Path, before: Any, after: Any, trained: list[str]
) -> None:
    fits(tmp_path / "b", before)
    run = fits(tmp_path / "b", after)
    assert fits.members == trained
    assert run.results["reused"] == []
    anew = fits(tmp_path / "anew", after)
    mine = made(run.directory)
    assert {name: mine[name] for name in made(anew.directory)} == made(anew.directory)
    assert lines(run) == lines(anew)


def test_equal_members_keep_their_numbers(fits: Fits, tmp_path: Path) -> None:
    fits(tmp_path / "b", {**FM, "seeds": 2})
    fits(tmp_path / "b", [FLAT, {**FM, "seeds": 3}])
    assert fits.members == ["crossnet-1", "fm-4"]


def test_more_seeds_take_the_first_one_over(base: Path, fits: Fits, tmp_path: Path) -> None:
    run = fits(tmp_path / "b", [CROSS, FM], base / "a", seeds=2)
    assert fits.members == ["crossnet-1", "fm-2"]
    assert {(line["name"], line["seed"]) for line in run.results["reused"]} == {("crossnet-1", 2022), ("fm-2", 2022)}


def test_of_several_runs_each_gives_what_it_has(base: Path, fits: Fits, tmp_path: Path) -> None:
    fits(tmp_path / "flat", FLAT)
    fits(tmp_path / "b", [FLAT, CROSS], base / "a", tmp_path / "flat")
    assert fits.members == []


@pytest.mark.parametrize("name", ["weights.safetensors", "test-logits.npy"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_member_is_refused_by_its_file(a: Path, fits: Fits, tmp_path: Path, name: str, damage: str) -> None:
    path = a / "teacher_training" / "fm-2" / name
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(InputError, match=rf"{path}: .*delete {path.parent}"):
        fits(tmp_path / "b", [CROSS, FM], a)
    assert not (tmp_path / "b").exists()


def test_a_fold_that_is_gone_takes_its_trees_along(a: Path, fits: Fits, tmp_path: Path) -> None:
    shutil.rmtree(a / "teacher_training" / "boosted-3" / "fold-2")
    fits(tmp_path / "b", [FLAT, BOOSTED], a)
    assert fits.members == ["crossnet-1", "boosted-2/fold-2"]


def test_what_is_no_run_is_refused(base: Path, fits: Fits, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"reuse: {base}: not a run"):
        fits(tmp_path / "b", CROSS, base)
    assert not (tmp_path / "b").exists()


def test_an_unfinished_stage_is_not_taken(a: Path, fits: Fits, tmp_path: Path) -> None:
    (a / "teacher_training" / "fm-2" / "manifest.json").unlink()
    fits(tmp_path / "b", [CROSS, FM], a)
    assert fits.members == ["fm-2"]


@pytest.mark.parametrize("owner", ["_copied", "_put_in_place", "_link"])
@pytest.mark.parametrize("calls", [1, 2])
def test_a_killed_copy_leaves_nothing_half_written(
    base: Path, fits: Fits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: str, calls: int
) -> None:
    whole, count = getattr(reuse, owner), 0

    def killed(*arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == calls:
            raise KeyboardInterrupt
        return whole(*arguments, **more)

    members = [CROSS, FM, BOOSTED]
    with monkeypatch.context() as patch:
        patch.setattr(reuse, owner, killed)
        with pytest.raises(KeyboardInterrupt):
            fits(tmp_path / "b", members, base / "a")
    for manifest in (tmp_path / "b").rglob("manifest.json"):
        names = json.loads(manifest.read_text())["files"]
        assert all((manifest.parent / name).exists() for name in names)
    run = fits(tmp_path / "b", members, base / "a")
    assert fits.trained == []
    assert list(run.directory.rglob("*.tmp")) == []
    assert made(run.directory) == {name: of for name, of in made(base / "a").items() if "baselines" not in name}


def test_where_files_cannot_be_linked_they_are_copied(
    base: Path, fits: Fits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link: Callable[..., None] = os.link

    def refused(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refused)
    run = fits(tmp_path / "b", [CROSS, FM, BOOSTED], base / "a")
    assert fits.trained == []
    monkeypatch.setattr(os, "link", link)
    weights = "teacher_training/fm-2/weights.safetensors"
    assert (run.directory / weights).stat().st_nlink == 1


def test_the_run_that_gave_is_not_changed(base: Path, a: Path, fits: Fits, tmp_path: Path) -> None:
    before = made(a)
    fits(tmp_path / "b", [CROSS, FM, BOOSTED], a, baselines=["fm"])
    fits(tmp_path / "b", FLAT, baselines=["fm"])
    assert made(a) == before
    fits(a, [CROSS, FM, BOOSTED], baselines=["scratch", "fm"])
    assert fits.trained == []


def test_on_the_command_line(base: Path, fits: Fits, tmp_path: Path) -> None:
    config = base / "own.yaml"
    config.write_text(yaml.safe_dump(small_config(base / "clicks.parquet") | {"teacher": [FM, FLAT]}))
    done = CliRunner().invoke(app, ["fit", str(config), "-o", str(tmp_path / "b"), "--reuse", str(base / "a")])
    assert done.exit_code == 0
    assert f"not trained again, from {(base / 'a').resolve()}: teacher_training fm-1 (" in done.stdout
