"""The folder of a simulation: whose it is, how far it got, and what may be done to it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from dagfm.data.simulate.options import Options
from dagfm.errors import InputError
from dagfm.files import read_json, write_json

STATE = "simulation.json"
CONFIG = "dagfm.yaml"
LOCK = ".lock"
KIND = "dagfm simulation"
FORMAT = 1
"""Of the folder, and of what options and seed mean: a change of the rows that they give is another format."""
TRUTH = "truth"
"""Folder of the probabilities: apart, so that no glob of the data meets them."""


def check(directory: Path, options: Options, force: bool) -> None:
    """Raise InputError where ``directory`` holds something else than a simulation with these options.

    With ``force`` the options may be others; what is no simulation stays refused, for nobody means to lose it.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"--output: {directory} is a file, expected a folder")
    state = earlier(directory)
    if state is None:
        if directory.is_dir() and any(path.name != LOCK for path in directory.iterdir()):
            raise InputError(f"--output: {directory} is not empty and not a simulation; choose another folder")
        return
    before, now = _identity(state.get("format"), state.get("options", {})), _identity(FORMAT, options.as_json())
    changed = [f"{name} was {before.get(name)}, now {now[name]}" for name in now if before.get(name) != now[name]]
    if changed and not force:
        raise InputError(
            f"--output: {directory} holds a simulation with other options ({'; '.join(changed)}); "
            "choose another folder, or replace it with --force"
        )


def save(directory: Path, options: Options, complete: bool, facts: dict[str, Any]) -> dict[str, Any]:
    """Write what is known of the simulation."""
    state = {"kind": KIND, "format": FORMAT, "complete": complete, "options": options.as_json(), **facts}
    write_json(directory / STATE, state)
    return state


def clear(directory: Path) -> None:
    """Remove what a simulation writes from the folder of one; the file that makes it one goes last."""
    if not (directory / STATE).exists():
        return
    for path in [*directory.glob("clicks-*.parquet"), *directory.glob("clicks-*.csv"), directory / CONFIG]:
        path.unlink(missing_ok=True)
    shutil.rmtree(directory / TRUTH, ignore_errors=True)
    (directory / STATE).unlink()


def earlier(directory: Path) -> dict[str, Any] | None:
    """What an earlier run told of itself, None where there was none."""
    if not (directory / STATE).is_file():
        return None
    state = read_json(directory / STATE)
    return state if isinstance(state, dict) and state.get("kind") == KIND else None


def _identity(format: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {"format of the folder": format, **options}
