"""From paths, globs and folders to the files of a click log, and what tells one file from another."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from dagfm.errors import InputError

_EDGE = 1 << 16
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class Place:
    """One file, and the columns that the names of its folders give (``day=2024-01-01``), None where missing."""

    path: Path
    partition: Mapping[str, str | None] = field(default_factory=dict)


def expand(paths: Iterable[str]) -> list[Place]:
    """The files that paths, globs and folders name: the paths' order, sorted within a glob or a folder.

    A folder stands for all files below it; those whose name, or whose folder's name, starts with ``.`` or ``_`` are
    other programs' notes (``_SUCCESS``) and left out. Raises InputError for what is not there and for a folder
    without files.
    """
    found: list[Place] = []
    for path in paths:
        if Path(path).exists() or not glob.has_magic(path):
            found += _of_one(Path(path))
            continue
        matches = sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute patterns
        matches = [match for match in matches if not any(map(_hidden, _matched(match, path)))]
        files = [Place(match, _partition(match.parent)) for match in matches if match.is_file()]
        if not files:
            # A glob that ends at folders, such as log/day=*, means what is in them.
            files = [place for match in matches if match.is_dir() for place in _below(match)]
        if not files:
            raise InputError(f"{path}: no file matches")
        found += files
    return found


def told(paths: Sequence[str]) -> str:
    """How messages call these files."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def identity(path: Path) -> dict[str, Any]:
    """A file by place, size, time and its two ends; hashing all of a large log would take as long as reading it."""
    try:
        status = path.stat()
        with path.open("rb") as file:
            ends = hashlib.sha256(file.read(_EDGE))
            file.seek(max(0, status.st_size - _EDGE))
            ends.update(file.read(_EDGE))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    place = str(path.resolve())
    return {"path": place, "bytes": status.st_size, "time": status.st_mtime_ns, "ends": ends.hexdigest()}


def _of_one(path: Path) -> list[Place]:
    if path.is_dir():
        files = _below(path)
        if not files:
            raise InputError(f"{path}: a folder without files, expected Parquet or text files in it")
        return files
    if not path.exists():
        raise InputError(f"{path}: no such file")
    return [Place(path, _partition(path.parent))] if "=" in path.parent.name else [Place(path)]


def _below(folder: Path) -> list[Place]:
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(map(_hidden, path.relative_to(folder).parts))
    ]
    return [Place(path, _partition(path.parent)) for path in files]


def _matched(match: Path, pattern: str) -> list[str]:
    """The parts of ``match`` that the pattern leaves open."""
    return [part for part in match.parts if part not in Path(pattern).parts]


def _hidden(name: str) -> bool:
    # A partition's own name may start with an underscore.
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _partition(folder: Path) -> dict[str, str | None]:
    """Columns that the names of the folders give, the outermost first: those right above the file, without a gap."""
    columns: dict[str, str | None] = {}
    while "=" in folder.name:
        name, _, value = folder.name.partition("=")
        columns[unquote(name)] = None if value == _NULL_PARTITION else unquote(value)
        folder = folder.parent
    return dict(reversed(columns.items()))
