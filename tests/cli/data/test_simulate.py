"""``dagfm data simulate``: what it prints, what it refuses, and the example in its help."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from dagfm.cli.app import app

FEW = ("--rows", "2_000", "--fields", "4", "--ids", "60")


def _simulate(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", "simulate", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_example_in_the_help(folder: Path) -> None:
    group = typer.main.get_command(app)
    text = group.commands["data"].commands["simulate"].help  # type: ignore[attr-defined]
    (example,) = re.findall(r"^\s*dagfm data simulate (.*)$", text, re.M)
    code, out, _ = _simulate(*shlex.split(example))
    assert code == 0
    assert re.match(
        r"20,000 rows, 0\.\d{4} of them clicks: simulated/dagfm\.yaml\n"
        r"best reachable on the 2,000 test rows: AUC 0\.\d{4} \(expected 0\.\d{4}\), "
        r"logloss 0\.\d{4} \(expected 0\.\d{4}\)\n$",
        out,
    )


def test_json_is_the_file(folder: Path) -> None:
    code, out, _ = _simulate(*FEW, "-o", "log", "--json", "--drift", "0.5", "--orders", "2")
    assert code == 0
    assert out == Path("log/simulation.json").read_text()
    state = json.loads(out)
    assert state["options"]["order"] == 2
    assert state["best"].keys() == {"rows", "click_rate", "test", "knowing_time"}
    assert _simulate(*FEW, "-o", "log", "--drift", "0.5", "--order", "2")[1].count("best reachable") == 2


def test_progress_is_on_stderr(folder: Path) -> None:
    _, out, err = _simulate(*FEW, "-o", "log", "--shard-rows", "500")
    assert out.count("\n") == 2
    assert "Traceback" not in err
    assert len(list(Path("log").glob("clicks-*.parquet"))) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--rows", "1"), "error: --rows: 1, expected 10 to"),
        (("--format", "cvs"), "Did you mean 'csv'?"),
        (("--order", "7"), "valid: 1, 2, 3, 4"),
        (("--rows", "many"), "Invalid value for '--rows'"),
    ],
)
def test_refused(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = _simulate(*FEW, "-o", "log", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("log").exists()


def test_a_folder_of_somebody_else_stays(folder: Path) -> None:
    Path("notes.txt").write_text("mine")
    code, _, err = _simulate(*FEW, "-o", ".")
    assert code == 2
    assert "--output: . is not empty and not a simulation" in err
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
