"""More students for a finished run: as if they had been there from the start, and nothing of a teacher is run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from clicks import Silent, click_log, small_config
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.nn import registry
from dagfm.nn.crossnet import CrossNet
from dagfm.training import loop
from dagfm.training.workshop import Workshop

FLAT = {"name": "flat", "depth": 1}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small log, its configuration and a finished run of two seeds, for each test to add to a copy."""
    folder = tmp_path_factory.mktemp("base")
    click_log(600).write_parquet(folder / "clicks.parquet")
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(small_config(Path("clicks.parquet"))))
    dagfm.fit(folder / "dagfm.yaml", folder / "run", seeds=2, baselines=["scratch", "fm"], progress=Silent())
    return folder


@pytest.fixture
def run(base: Path, tmp_path: Path) -> Path:
    shutil.copytree(base / "run", tmp_path / "run")
    return tmp_path / "run"


@pytest.fixture
def teacher_calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has been asked of a teacher's network: to be built, to be loaded, to score."""
    calls: list[str] = []
    for owner, name in ((CrossNet, "forward"), (Workshop, "trained")):
        monkeypatch.setattr(owner, name, _counted(getattr(owner, name), name, calls))
    build = registry.BUILDERS["crossnet"]
    monkeypatch.setitem(registry.BUILDERS, "crossnet", _counted(build, "build", calls))
    return calls


def _counted(function: Callable[..., Any], name: str, calls: list[str]) -> Callable[..., Any]:
    def counted(*arguments: Any, **more: Any) -> Any:
        calls.append(name)
        return function(*arguments, **more)

    return counted


def weights(run: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in run.rglob("*")
        if path.name == "weights.safetensors" or path.name.endswith("logits.npy")
    }


def lines(run: Path) -> list[tuple[Any, ...]]:
    results = json.loads((run / "results.json").read_text())
    return [(line["name"], line["phase"], line["seed"], line["metrics"]) for line in results["models"]]


def test_a_student_added_later_is_the_one_that_was_there_from_the_start(
    base: Path, run: Path, tmp_path: Path, teacher_calls: list[str]
) -> None:
    added = dagfm.distil(run, [FLAT], progress=Silent())
    assert teacher_calls == []
    both = ["student=[{name: student, depth: 2}, {name: flat, depth: 1}]"]
    whole = tmp_path / "whole"
    start = dagfm.fit(base / "dagfm.yaml", whole, overrides=both, seeds=2, baselines=["fm"], progress=Silent())
    mine, theirs = weights(run), weights(whole)
    assert {name for name in theirs if "flat" in name} == {name for name in mine if "flat" in name}
    assert {name: mine[name] for name in theirs} == theirs
    assert [line for line in lines(run) if line[0] != "scratch"] == lines(whole)
    assert added.results["served"] == start.results["served"]
    assert dagfm.load_config(run / "config.yaml") == dagfm.load_config(whole / "config.yaml")
    assert {(line["of"], line["minus"]) for line in added.results["comparisons"]} == {
        (student, other) for student in ("student", "flat") for other in ("teacher", "scratch", "fm")
    }


def test_fit_with_a_student_more_does_not_touch_the_teacher(base: Path, run: Path, teacher_calls: list[str]) -> None:
    both = ["student=[{name: student, depth: 2}, {name: flat, depth: 1}]"]
    dagfm.fit(base / "dagfm.yaml", run, overrides=both, seeds=2, progress=Silent())
    assert teacher_calls == []
    assert (run / "bundles" / "flat").is_dir()


def test_a_fit_after_it_finds_everything_done(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dagfm.distil(run, [FLAT], progress=Silent())
    before = (run / "results.json").read_bytes()
    monkeypatch.setattr(loop._Training, "_step", lambda *_: pytest.fail("trained"))
    dagfm.fit(run / "config.yaml", run, seeds=2, baselines=["fm"], progress=Silent())
    dagfm.distil(run, [FLAT], progress=Silent())
    assert [line for line in json.loads(before)["models"] if line["name"] != "scratch"] == json.loads(
        (run / "results.json").read_text()
    )["models"]


def test_a_student_without_a_name_gets_network_and_number(base: Path, tmp_path: Path) -> None:
    overrides = ["distillation.embedding=own", "training.teacher_training.epochs=1"]
    run = dagfm.fit(base / "dagfm.yaml", tmp_path / "own", overrides=overrides, progress=Silent()).directory
    dagfm.distil(run, [{"size": 3, "depth": 1}], progress=Silent())
    names = {line["name"] for line in json.loads((run / "results.json").read_text())["models"]}
    assert names == {"teacher", "student", "dagfm-2"}


def test_what_was_interrupted_continues(run: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tmp_path / "whole"
    shutil.copytree(base / "run", whole)
    dagfm.distil(whole, [FLAT], progress=Silent())
    step, steps = loop._Training._step, 0

    def breaking(self: Any, *arguments: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == 5:
            raise KeyboardInterrupt
        return step(self, *arguments)

    results = (run / "results.json").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(loop._Training, "_step", breaking)
        with pytest.raises(KeyboardInterrupt):
            dagfm.distil(run, [FLAT], progress=Silent())
    assert (run / "results.json").read_bytes() == results
    dagfm.distil(run, [FLAT], progress=Silent())
    assert weights(run) == weights(whole)
    assert lines(run) == lines(whole)


def test_the_same_student_again_is_the_one_that_is_there(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop._Training, "_step", lambda *_: pytest.fail("trained"))
    before = lines(run)
    for student in ({"name": "student", "depth": 2}, {"depth": 2}):
        dagfm.distil(run, [student], progress=Silent())
        assert lines(run) == before


@pytest.mark.parametrize(
    ("student", "told"),
    [
        ({"name": "student", "depth": 1}, "student 'student': this run has one of that name with other settings"),
        ({"dept": 1}, "unknown key 'student.0.dept'"),
        ({"seeds": 2}, "'seeds' is of teachers"),
        ("depth", "expected a mapping"),
    ],
)
def test_a_wrong_student_is_refused(run: Path, student: Any, told: str) -> None:
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(dagfm.InputError, match=told):
        dagfm.distil(run, [FLAT, student], progress=Silent())
    assert (run / "config.yaml").read_bytes() == before
    assert not (run / "distillation" / "flat").exists()


def test_the_names_that_are_taken_are_listed(run: Path) -> None:
    with pytest.raises(dagfm.InputError, match="Taken: student, flat"):
        dagfm.distil(run, [FLAT, {**FLAT, "depth": 3}], progress=Silent())


def test_what_is_no_finished_run_is_refused(base: Path, run: Path, tmp_path: Path) -> None:
    with pytest.raises(dagfm.InputError, match="not a run"):
        dagfm.distil(tmp_path / "nowhere", [FLAT], progress=Silent())
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(dagfm.InputError, match="not a run"):
        dagfm.distil(base, [FLAT], progress=Silent())
    (run / "teacher_logits" / "seed-2023" / "manifest.json").unlink()
    with pytest.raises(dagfm.InputError, match="not finished: teacher_logits/seed-2023 is missing"):
        dagfm.distil(run, [FLAT], progress=Silent())
    (run / "results.json").unlink()
    with pytest.raises(dagfm.InputError, match="not finished: it has no results yet"):
        dagfm.distil(run, [FLAT], progress=Silent())


def test_a_run_that_was_begun_anew_is_not_finished(run: Path) -> None:
    config = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(config.replace("depth: 2", "depth: 3"))
    with pytest.raises(dagfm.InputError, match=r"config.yaml has changed since results.json was written"):
        dagfm.distil(run, [FLAT], progress=Silent())


def test_prepared_rows_that_are_gone_are_made_again(base: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "moved")
    run = dagfm.fit(tmp_path / "moved" / "dagfm.yaml", tmp_path / "moved" / "run", progress=Silent()).directory
    shutil.rmtree(tmp_path / "moved" / ".dagfm")
    dagfm.distil(run, [FLAT], progress=Silent())
    shutil.rmtree(tmp_path / "moved" / ".dagfm")
    click_log(600, seed=3).write_parquet(tmp_path / "moved" / "clicks.parquet")
    with pytest.raises(dagfm.InputError, match="its files hold other rows by now"):
        dagfm.distil(run, [{"depth": 3}], progress=Silent())


def test_on_the_command_line(run: Path) -> None:
    done = CliRunner().invoke(app, ["distil", str(run), "--student", "{name: flat, depth: 1}"])
    assert done.exit_code == 0
    assert "flat (dagfm)" in done.stdout
    assert "student - teacher: AUC" in done.stdout
    for wrong in ("depth", "{depth: 1"):
        refused = CliRunner().invoke(app, ["distil", str(run), "--student", wrong])
        assert refused.exit_code == 2
        assert f"--student {wrong}: " in refused.stderr


def test_students_of_somebody_elses_scores_are_added_too(folder: Path) -> None:
    log = click_log(400)
    log.with_columns(given=log["click"] * 0.5 + 0.2).write_parquet(folder / "clicks.parquet")
    scores = {"scores": "given", "kind": "probability"}
    config = small_config(folder / "clicks.parquet", teacher=scores)
    run = dagfm.fit(config, folder / "run", progress=Silent()).directory
    added = dagfm.distil(run, [FLAT], progress=Silent())
    assert {(line["of"], line["minus"]) for line in added.results["comparisons"]} == {
        ("student", "teacher"), ("flat", "teacher"),
    }  # fmt: skip
    assert added.results["comparisons"][0]["auc"]["by_seed"][0]["interval"] is not None
