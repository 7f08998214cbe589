"""The folder of a simulation: whose it is, how far it got, and what may be done to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dagfm.data.simulate.options import Options
from dagfm.errors import InputError
from dagfm.files import read_json, remove_leftovers, write_json

STATE = "simulation.json"
CONFIG = "dagfm.yaml"
LOCK = ".lock"
KIND = "dagfm simulation"
FORMAT = 1


def opened(directory: Path, options: Options, force: bool) -> dict[str, Any] | None:
    """What an earlier run with the same options left in ``directory``; None where this one starts anew.

    Raises InputError for a folder that holds something else, or a simulation with other options; with ``force`` the
    files that a simulation writes are removed from it, and nothing else.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"--output: {directory} is a file, expected a folder")
    found = [path for path in directory.iterdir() if path.name != LOCK] if directory.is_dir() else []
    state = _state(directory)
    if state is not None and state.get("options") == options.as_json() and not force:
        remove_leftovers(directory)
        return state
    if found and not force:
        raise InputError(
            f"--output: {_why_not(directory, state, options)}; choose another folder, or replace it with --force"
        )
    _cleared(directory)
    return None


def save(directory: Path, options: Options, complete: bool, facts: dict[str, Any]) -> dict[str, Any]:
    """Write what is known of the simulation."""
    state = {"kind": KIND, "format": FORMAT, "complete": complete, "options": options.as_json(), **facts}
    write_json(directory / STATE, state)
    return state


def _state(directory: Path) -> dict[str, Any] | None:
    if not (directory / STATE).is_file():
        return None
    state = read_json(directory / STATE)
    return state if isinstance(state, dict) and state.get("kind") == KIND else None


def _why_not(directory: Path, state: dict[str, Any] | None, options: Options) -> str:
    if state is None:
        return f"{directory} is not empty and not a simulation"
    before, now = state.get("options", {}), options.as_json()
    changed = [f"{name} {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]]
    return f"{directory} holds a simulation with other options ({'; '.join(changed)})"


def _cleared(directory: Path) -> None:
    """Remove the files of a simulation, the one that makes it one last."""
    if not directory.is_dir():
        return
    remove_leftovers(directory)
    for path in [*directory.glob("clicks-*.parquet"), *directory.glob("clicks-*.csv"), directory / CONFIG]:
        path.unlink(missing_ok=True)
    shutil.rmtree(directory / "truth", ignore_errors=True)
    (directory / STATE).unlink(missing_ok=True)
