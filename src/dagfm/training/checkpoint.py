"""Checkpoints: safetensors beside a JSON state that names and vouches for them; no pickle anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from dagfm.errors import InputError
from dagfm.files import digest, fingerprint, read_json, write_bytes, write_json

_STATE = "checkpoint.json"
_FORMAT = 2
"""Of what the tensors are called and mean; 1 had no table rows that make up for steps."""


def save_checkpoint(directory: Path, tensors: dict[str, Tensor], state: dict[str, Any], position: str) -> None:
    """Write tensors and state durably; a reader sees this checkpoint or the one before it, never a mixture.

    ``position`` (epoch and batch) names the tensors' file: the older pair stays whole until the new state is in place.
    """
    name = f"checkpoint-{position}.safetensors"
    write_tensors(directory / name, tensors)
    whole = {**state, "format": _FORMAT, "tensors": name, "sha256": digest(directory / name)}
    write_json(directory / _STATE, {**whole, "fingerprint": fingerprint(whole)})
    _remove_tensors(directory, keep=name)


def load_checkpoint(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Return the tensors and the state of the last checkpoint, or None when there is none yet.

    Raises InputError naming the file when it is truncated or altered.
    """
    path = directory / _STATE
    if not path.exists():
        return None
    state = read_json(path)
    try:
        tensors = directory / str(state["tensors"])
        expected = state["sha256"]
        altered = state.pop("fingerprint") != fingerprint(state)
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{path}: not a checkpoint; delete {directory} to start this phase again") from None
    if altered:
        raise InputError(f"{path}: checkpoint is altered; delete {directory} to start this phase again")
    if state.get("format") != _FORMAT:
        raise InputError(
            f"{path}: checkpoint of another version of dagfm; delete {directory} to start this phase again"
        )
    if tensors.parent != directory or not tensors.is_file() or digest(tensors) != expected:
        raise InputError(
            f"{tensors}: checkpoint is missing, truncated or altered; delete {directory} to start this phase again"
        )
    return read_tensors(tensors), state


def remove_checkpoint(directory: Path) -> None:
    """Delete the checkpoint of a finished phase."""
    (directory / _STATE).unlink(missing_ok=True)
    _remove_tensors(directory, keep=None)


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write named tensors as safetensors, durably; equal tensors give equal bytes."""
    write_bytes(path, save({name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read named tensors onto the CPU; raises InputError naming the file when it is not safetensors."""
    try:
        return load(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except SafetensorError as error:
        raise InputError(f"{path}: not a safetensors file ({error}); it is truncated or altered") from None


def _remove_tensors(directory: Path, keep: str | None) -> None:
    for path in directory.glob("checkpoint-*.safetensors"):
        if path.name != keep:
            path.unlink()
