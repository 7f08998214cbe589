"""What ``dagfm serve`` says of itself, and where its packages are missing; the serving is tested in tests/server."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from clicks import Finished
from typer.testing import CliRunner

from dagfm.cli.app import app

SOURCE = str(Path(__file__).parents[2] / "src")


def dagfm(*words: str, without: str = "nothing") -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules[{without!r}] = None; from dagfm.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": SOURCE},
        timeout=60,
        check=False,
    )


def test_help_shows_an_example() -> None:
    done = dagfm("serve", "--help")
    assert done.returncode == 0
    assert "dagfm serve ratings=runs/demo" in done.stdout


@pytest.mark.parametrize("package", ["msgspec", "prometheus_client"])
def test_a_missing_extra_is_one_line_with_the_command(finished: Finished, package: str) -> None:
    done = dagfm("serve", f"m={finished.bundle}", without=package)
    assert done.returncode == 1
    assert "pip install 'dagfm[serve]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nothing_to_serve_is_said(tmp_path: Path) -> None:
    done = dagfm("serve", str(tmp_path))
    assert done.returncode == 2
    assert "neither a bundle" in done.stderr


def test_where_processes_cannot_be_forked_that_is_said(finished: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("os.fork")
    done = CliRunner().invoke(app, ["serve", f"m={finished.bundle}", "--port", "0"])
    assert done.exit_code == 1
    assert "error: dagfm serve runs on Linux and macOS" in done.stderr


def test_a_size_that_is_none_is_said(finished: Finished) -> None:
    done = dagfm("serve", f"m={finished.bundle}", "--max-body", "much")
    assert done.returncode == 2
    assert "'much': expected a size" in done.stderr


def test_patches_are_made_where_nothing_else_than_serving_is_installed(finished: Finished, tmp_path: Path) -> None:
    code = """
import sys
sys.modules |= dict.fromkeys(("torch", "pandas", "pyarrow", "yaml"))
from dagfm.cli import main
main()
"""
    made, again = tmp_path / "patch", tmp_path / "again"
    for words in (
        ("make", finished.bundle, finished.bundle, "-o", made),
        ("apply", finished.bundle, made, "-o", again),
    ):
        command = [sys.executable, "-c", code, "patch", *words]
        environment = {**os.environ, "PYTHONPATH": SOURCE}
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment, check=False)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("words", "logged"), [((), True), (("--quiet",), False)])
def test_quiet_is_without_a_line_for_each_request(
    finished: Finished, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], logged: bool
) -> None:
    told: list[Any] = []

    class Fake:
        def __init__(self, settings: Any, listening: Any, **others: Any) -> None:
            told.append(settings)
            listening.close()

        def run(self) -> None:
            return

    monkeypatch.setattr("dagfm.server.supervisor.Supervisor", Fake)
    done = CliRunner().invoke(app, [*words, "serve", f"m={finished.bundle}", "--port", "0"])
    assert done.exit_code == 0
    assert [settings.access_log for settings in told] == [logged]


@pytest.mark.parametrize("option", ["--timeout", "--drain", "--poll"])
def test_endless_seconds_are_refused(finished: Finished, option: str) -> None:
    done = CliRunner().invoke(app, ["serve", f"m={finished.bundle}", option, "inf"])
    assert done.exit_code == 2
    assert option in done.stderr


def test_the_container_has_what_serving_imports(finished: Finished) -> None:
    """Of all that tests install, the packages of examples/serving alone, and what they need, are imported."""
    listed = (Path(__file__).parents[2] / "examples" / "serving" / "requirements.txt").read_text().splitlines()
    code = f"""
import sys
for name in ("torch", "pandas", "pyarrow", "yaml", "lightgbm", "scipy", "duckdb", "hypothesis", "pytest"):
    sys.modules[name] = None
from importlib.metadata import packages_distributions
from dagfm.cli.app import app
from dagfm.server import supervisor, worker
from dagfm.server.app import application
application({{"m": {str(finished.bundle)!r}}})
homes = packages_distributions()
loaded = [name for name, module in sys.modules.items() if module is not None]
print(*sorted({{home for name in loaded for home in homes.get(name.partition(".")[0], ())}}))
"""
    command = [sys.executable, "-c", code]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=True)
    imported = {name.lower().replace("_", "-") for name in done.stdout.split()}
    assert imported - {"dagfm", "setuptools"} <= _needed({name for name in listed if name and name[0] != "#"})


def _needed(names: set[str]) -> set[str]:
    """The packages and what they require, extras and what another Python would need aside."""
    from importlib.metadata import PackageNotFoundError, requires

    found: set[str] = set()
    while names:
        name = names.pop()
        found.add(name.lower().replace("_", "-"))
        try:
            needs = [line for line in requires(name) or () if "extra ==" not in line]
        except PackageNotFoundError:
            continue
        names |= {re.split(r"[^A-Za-z0-9_.-]", line)[0] for line in needs if "sys_platform" not in line} - found
    return found
