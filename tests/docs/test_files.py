"""docs/files.md names every file that a run leaves and every key of its results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = (Path(__file__).parents[2] / "docs" / "files.md").read_text()


def keys(value: Any) -> Iterator[str]:
    """All keys of nested mappings and lists."""
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from keys(inner)


def test_every_key_of_the_results_is_explained(run_directory: Path) -> None:
    results = json.loads((run_directory / "results.json").read_text())
    assert {key for key in keys(results) if f"`{key}`" not in PAGE} == set()


def test_every_file_of_a_run_is_named(run_directory: Path, workplace: Path) -> None:
    rows = re.findall(r"^\| .*$", PAGE, re.M)
    described = [_pattern(name) for row in rows for name in re.findall(r"`([^`]+)`", row)]
    (prepared,) = [path for path in (workplace / ".dagfm" / "prepared").iterdir() if path.is_dir()][:1]
    for folder in (run_directory, run_directory / "bundle", run_directory / "finetuning" / "student", prepared):
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and name != ".lock":
                assert any(re.search(pattern, name) for pattern in described), f"{name} of {folder} is not explained"


def _pattern(name: str) -> str:
    """A path of the page as a pattern: ``<...>`` stands for anything, a folder for what is in it."""
    text = re.sub(r"<[^>]+>", "[^/]+", re.escape(name).replace(r"\<", "<").replace(r"\>", ">"))
    return rf"(^|/){text}" + ("" if name.endswith("/") else "$")
