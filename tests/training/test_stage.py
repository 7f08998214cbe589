"""A stage of a run: begun, finished, redone for other inputs; a kill in between never leaves a mixture."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dagfm.errors import InputError
from dagfm.training import stage as module
from dagfm.training.stage import Stage

OLD, NEW = {"training": {"epochs": 2, "seed": 1}}, {"training": {"epochs": 3, "seed": 1}}


def _finished(directory: Path) -> Stage:
    stage = Stage(directory, OLD)
    assert stage.open() is None
    (directory / "weights").write_bytes(b"old")
    stage.finish(["weights"], {"result": 5})
    return stage


def test_a_finished_stage_opens_with_its_facts(tmp_path: Path) -> None:
    stage = _finished(tmp_path / "stage")
    facts = Stage(tmp_path / "stage", OLD).open()
    assert facts is not None
    assert facts["result"] == 5
    assert Stage(tmp_path, OLD).fingerprint == stage.fingerprint != Stage(tmp_path, NEW).fingerprint


def test_a_stage_that_was_begun_goes_on_with_its_files(tmp_path: Path) -> None:
    Stage(tmp_path, OLD).open()
    (tmp_path / "checkpoint.json").write_text("{}")
    assert Stage(tmp_path, OLD).open() is None
    assert (tmp_path / "checkpoint.json").exists()


@pytest.mark.parametrize("finished", [True, False])
def test_other_inputs_empty_it_and_the_key_is_told(
    tmp_path: Path, finished: bool, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "distillation" / "student"
    if finished:
        _finished(directory)
    else:
        Stage(directory, OLD).open()
        (directory / "checkpoint.json").write_text("{}")
    (directory / "seed-7").mkdir()
    with caplog.at_level(logging.INFO, "dagfm"):
        assert Stage(directory, NEW).open() is None
    assert caplog.messages == ["distillation/student is redone: training.epochs was 2, is 3"]
    assert {path.name for path in directory.iterdir()} == {"inputs.json", "seed-7"}


@pytest.mark.parametrize("survivors", [1, 2])
def test_killed_while_it_is_emptied_it_is_emptied_again(
    tmp_path: Path, survivors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _finished(tmp_path)
    (tmp_path / "checkpoint.json").write_text("{}")
    unlink, removed = Path.unlink, 0

    def killed(path: Path, missing_ok: bool = False) -> None:
        nonlocal removed
        if removed == survivors:
            raise KeyboardInterrupt
        removed += 1
        unlink(path, missing_ok)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "unlink", killed)
        Stage(tmp_path, NEW).open()
    assert not (tmp_path / "manifest.json").exists()
    assert Stage(tmp_path, NEW).open() is None
    assert {path.name for path in tmp_path.iterdir()} == {"inputs.json"}


def test_killed_before_the_new_inputs_are_written_nothing_old_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _finished(tmp_path)

    def killed(path: Path, value: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "write_json", killed)
        Stage(tmp_path, NEW).open()
    assert {path.name for path in tmp_path.iterdir()} == {"inputs.json"}


def test_damage_is_refused_with_what_to_delete(tmp_path: Path) -> None:
    _finished(tmp_path)
    (tmp_path / "weights").write_bytes(b"other")
    with pytest.raises(InputError, match=f"weights: .*; delete {tmp_path} and run again to redo it"):
        Stage(tmp_path, OLD).open()
