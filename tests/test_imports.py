"""What starting up costs: no torch for serving, nothing heavy at all for ``--help``."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "polars", "numpy", "pandas", "pyarrow")


def _loaded_by(code: str) -> set[str]:
    """Which heavy packages are in memory after ``code`` ran in a fresh interpreter."""
    report = f"import sys\ntry:\n    {code}\nfinally:\n    print('loaded:', *({HEAVY!r} & sys.modules.keys()))"
    report = report.replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].removeprefix("loaded:").split())


def test_the_package_imports_no_torch() -> None:
    assert "torch" not in _loaded_by("import dagfm; dagfm.load")


def test_every_public_name_is_there_without_more_imports() -> None:
    code = "import dagfm; [getattr(dagfm, name) for name in dagfm.__all__]; dagfm.interop.recbole.network_from_state"
    assert "torch" in _loaded_by(code)


@pytest.mark.parametrize("arguments", [["--help"], ["init", "--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"sys.argv = ['dagfm', *{arguments!r}]; from dagfm.cli import main; main()"
    assert _loaded_by(code) == set()


def test_reading_text_about_the_data_needs_no_torch() -> None:
    assert "torch" not in _loaded_by("import dagfm.data.infer, dagfm.config")
