"""What ``dagfm serve`` says of itself, and where its packages are missing; the serving is tested in tests/server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clicks import Finished

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


def test_a_size_that_is_none_is_said(finished: Finished) -> None:
    done = dagfm("serve", f"m={finished.bundle}", "--max-body", "much")
    assert done.returncode == 2
    assert "'much': expected a size" in done.stderr
