"""A run's directory: whose it is, which one process may write, and what it says of its own making."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import polars
import torch
import yaml
from filelock import FileLock, Timeout

import dagfm
from dagfm.config import Config
from dagfm.data.dataset import Prepared
from dagfm.encoding.encoder_file import write_encoder
from dagfm.errors import InputError
from dagfm.files import MANIFEST, read_json, remove_leftovers, write_bytes, write_json
from dagfm.training.warm_up import ENCODER, PREPARED

_ENVIRONMENT = "environment.json"
_KIND = "dagfm run"
_LOCK = ".lock"
CONFIG = "config.yaml"
"""The resolved configuration."""
RESULTS = "results.json"
"""All figures, written last."""


def default_directory(source: str | Path | Mapping[str, Any] | Config) -> Path:
    """``runs/<stem of the file>``, or the folder's name where the stem is ``dagfm``; ``runs/dagfm`` without a file."""
    if not isinstance(source, str | Path):
        return Path("runs") / "dagfm"
    path = Path(source).resolve()
    return Path("runs") / (path.parent.name if path.stem == "dagfm" else path.stem)


@contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Make ``directory`` this process's run directory for as long as the context lasts.

    Raises InputError when it holds something else than a run, or when another process is writing it.
    """
    if directory.exists() and not directory.is_dir():
        raise InputError(f"{directory}: is a file, expected a directory for the run")
    held = [path.name for path in directory.iterdir() if not _is_ours(path.name)] if directory.exists() else []
    if held and not is_run(directory):
        raise InputError(
            f"{directory}: holds something that is not a dagfm run ({', '.join(sorted(held)[:3])} ...); "
            "name another directory with -o"
        )
    directory.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{directory}: another process is writing this run; wait for it or choose -o") from None
    try:
        remove_leftovers(directory)
        if not held:
            write_json(directory / _ENVIRONMENT, {"kind": _KIND, "format": 1})
        yield
    except InputError:
        if not held and not any(directory.rglob(MANIFEST)):
            shutil.rmtree(directory)  # refused before anything was finished
        raise
    finally:
        lock.release()


def place_of(directory: Path, *parts: str, seed: int, several: bool) -> Path:
    """Where one model of one seed lives: ``seed-<n>`` below its folder where there are several.

    What is there already stays where it is, so that a run asked for more seeds, or fewer, finds what it has done.
    """
    flat = directory.joinpath(*parts)
    nested = flat / f"seed-{seed}"
    if nested.exists():
        return nested
    return nested if several and _seed_in(flat) != seed else flat


def _seed_in(folder: Path) -> int | None:
    """The seed of a model that lies in its folder itself, or of a baseline's first regularisation."""
    for inputs in (folder / "inputs.json", *sorted(folder.glob("decay-*/inputs.json"))):
        if inputs.is_file():
            seed: int = read_json(inputs)["training"]["seed"]
            return seed
    return None


def describe(directory: Path, config: Config, prepared: Prepared) -> None:
    """Write the resolved configuration, the environment, which prepared data was used, and a copy of its encoder."""
    write_config(directory, config)
    environment = {
        "kind": _KIND,
        "format": 1,
        "dagfm": dagfm.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": numpy.__version__,
        "polars": polars.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": config.training.threads,
    }
    write_json(directory / _ENVIRONMENT, environment)
    made_from = directory / PREPARED
    now = {key: str(getattr(prepared, key)) for key in ("fingerprint", "content", "directory")}
    if made_from.exists() and read_json(made_from) == now and (directory / ENCODER).is_dir():
        return
    made_from.unlink(missing_ok=True)  # it vouches for the encoder
    shutil.rmtree(directory / ENCODER, ignore_errors=True)
    write_encoder(prepared.encoder, directory / ENCODER)
    write_json(made_from, now)


def write_config(directory: Path, config: Config) -> None:
    """Write the resolved configuration."""
    written = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    write_bytes(directory / CONFIG, written.encode())


def is_run(directory: Path) -> bool:
    """Whether a run has begun in ``directory``."""
    marker = directory / _ENVIRONMENT
    said = read_json(marker) if marker.is_file() else None
    return isinstance(said, dict) and said.get("kind") == _KIND


def _is_ours(name: str) -> bool:
    """Whether a killed process may have left this file before it could say that the directory is a run."""
    return name == _LOCK or (name.startswith(f".{_ENVIRONMENT}.") and name.endswith(".tmp"))


def _processor() -> str:
    """The processor's name where the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
