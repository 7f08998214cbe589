"""The shell around the verbs: messages, exit codes, global options."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from dagfm import __version__
from dagfm.cli.app import VERBS, app
from dagfm.cli.failures import reported
from dagfm.errors import DagfmError, InputError
from dagfm.files import write_bytes


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("clicks.csv: row 3: expected a number"), 2, "error: clicks.csv: row 3: expected a number\n"),
        (DagfmError("the trainer gave up"), 1, "error: the trainer gave up\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a"),
            1,
            "disk full while writing runs/a: No space left",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "disk full: No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "out.csv"), 1, "error: out.csv: Permission denied\n"),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "runs"), 1, "error: runs: Is a directory\n"),
        (
            ModuleNotFoundError("No module named 'pyarrow'", name="pyarrow"),
            1,
            "error: No module named 'pyarrow': an environment for serving alone leaves out what reads files: pip",
        ),
        (KeyboardInterrupt(), 130, "interrupted; run the same command again to resume\n"),
    ],
)
def test_what_a_user_can_cause_is_a_message_and_a_code(
    error: BaseException, code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, reported():
        raise error
    told = capsys.readouterr()
    assert left.value.exit_code == code
    assert message in told.err
    assert told.out == ""


def test_an_error_that_is_a_text_alone_is_told_with_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    """polars raises such, and ``replacing`` adds the file."""
    error = FileNotFoundError("no such folder")
    error.filename = "out.csv"
    with pytest.raises(typer.Exit), reported():
        raise error
    assert capsys.readouterr().err == "error: out.csv: no such folder\n"


@pytest.mark.parametrize(
    "bug",
    [
        ValueError("a bug"),
        ModuleNotFoundError("No module named 'dagfm.x'", name="dagfm.x"),
        OSError(errno.EIO, "Input/output error"),
        BrokenPipeError(),
    ],
)
def test_a_bug_rises_with_its_traceback(bug: BaseException) -> None:
    with pytest.raises(type(bug)), reported():
        raise bug


def test_verbose_shows_the_traceback_of_a_refused_input_too(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "dagfm"), pytest.raises(typer.Exit), reported():
        raise InputError("wrong")
    assert "InputError: wrong" in caplog.text


def test_a_full_disk_names_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(typer.Exit), reported():
        write_bytes(tmp_path / "weights", b"1")
    assert f"disk full while writing {tmp_path / 'weights'}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments", [["fly"], ["init", "--fly", "x"], ["init"], ["--quiet", "--verbose", "init", "x"]]
)
def test_wrong_usage_leaves_with_2(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr
    assert result.stdout == ""


def test_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.stdout) == (0, f"dagfm {__version__}\n")


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_shows_an_example(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert f"\n  dagfm {verb} " in result.stdout


def test_errors_of_a_verb_reach_the_shell(tmp_path: Path) -> None:
    done = _dagfm("init", str(tmp_path / "absent.csv"), cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path / 'absent.csv'}: no such file\n"
    assert done.stdout == ""


def test_ctrl_c_leaves_with_130(tmp_path: Path) -> None:
    code = (
        "import dagfm.data.infer, os, signal\n"
        "dagfm.data.infer.infer = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['dagfm', 'init', 'clicks.csv']\n"
        "from dagfm.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "interrupted; run the same command again to resume\n"


def test_ctrl_c_that_a_library_turns_into_its_own_error_leaves_with_130_too(tmp_path: Path) -> None:
    code = (
        "import dagfm.data.infer, os, signal, sys\n"
        "def panic(*_):\n"
        "    try: os.kill(os.getpid(), signal.SIGINT); signal.pause()\n"
        "    except KeyboardInterrupt: raise ValueError('a panic') from None\n"
        "dagfm.data.infer.infer = panic\n"
        "sys.argv = ['dagfm', 'init', 'clicks.csv']\n"
        "from dagfm.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 128 + signal.SIGINT
    assert done.stderr == "interrupted; run the same command again to resume\n"


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as closed:
        done = subprocess.run(
            [sys.executable, "-m", "dagfm", "--help"], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.stderr == ""


def _dagfm(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dagfm", *arguments], capture_output=True, text=True, cwd=cwd, check=False
    )
