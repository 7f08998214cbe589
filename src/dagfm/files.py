"""Durable files: written whole or not at all, and sealed directories whose manifest vouches for every byte."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagfm.errors import InputError

MANIFEST = "manifest.json"
_OWN = "fingerprint of this manifest"
"""Key of a manifest that vouches for the rest of it; who edits one by hand leaves it out."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of ``path``; on success it is fsynced and renamed over ``path``, else removed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        _sync(temporary)
        temporary.replace(path)
        _sync(path.parent)
    except Exception as error:
        if f"(os error {errno.ENOSPC})" in str(error):  # how polars tells of a full disk
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        # A write to an open file that fails (disk full) does not say which file; the message needs it.
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def replacing_directory(directory: Path) -> Iterator[Path]:
    """Yield an empty temporary sibling of ``directory``; on success it takes its place, else it is removed."""
    fresh = directory.with_name(f".{directory.name}.new.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
        shutil.rmtree(put_in_place(fresh, directory), ignore_errors=True)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def put_in_place(fresh: Path, directory: Path) -> Path:
    """Rename ``fresh`` to ``directory``, and what is there before to a sibling, whose path is returned."""
    old = directory.with_name(f".{directory.name}.old.tmp")
    shutil.rmtree(old, ignore_errors=True)
    if directory.exists():
        directory.rename(old)
    try:
        fresh.rename(directory)
    except OSError:
        if old.exists():
            old.rename(directory)
        raise
    return old


def flush(directory: Path) -> None:
    """Have all files below ``directory`` written through to the disk."""
    for path in directory.rglob("*"):
        if path.is_file():
            _sync(path)


def remove_leftovers(directory: Path) -> None:
    """Remove what killed writers left half-written anywhere under ``directory``, which nobody writes now."""
    for temporary in list(directory.rglob(".*.tmp")):
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` durably: readers see the old file or the new one, never a part."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON, durably. Raises ValueError for NaN: JSON has none."""
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def read_json(path: Path) -> Any:
    """Read a JSON file; raises InputError naming the file when it is missing or not JSON."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid JSON ({error}); the file is damaged") from None


def digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """A short stable hash of a JSON-able value: equal values, equal fingerprints, on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def seal(directory: Path, kind: str, version: int, names: Iterable[str], facts: dict[str, Any]) -> None:
    """Write the manifest that makes ``directory`` complete: its kind, format version, facts and checksums.

    ``names`` are the files vouched for, relative to ``directory``. The manifest is written last, so its presence
    means that everything it lists is there.
    """
    files = {
        name: {"bytes": (directory / name).stat().st_size, "sha256": digest(directory / name)} for name in sorted(names)
    }
    write_manifest(directory, kind, version, files, facts)


def write_manifest(
    directory: Path, kind: str, version: int, files: Mapping[str, Any], facts: Mapping[str, Any]
) -> None:
    """Seal a directory whose ``files`` have their sizes and checksums from another manifest."""
    manifest = {"kind": kind, "format": version, **facts, "files": files}
    write_json(directory / MANIFEST, {**manifest, _OWN: fingerprint(manifest)})


def open_sealed(directory: Path, kind: str, version: int, large: int | None = None) -> dict[str, Any]:
    """Return the manifest of a sealed directory after checking kind, format version, sizes and checksums.

    Files of more than ``large`` bytes are checked by their size alone: reading a billion rows at every start takes as
    long as training on them.
    Raises InputError naming the file when the directory is not of this kind, was written by a newer version, or
    holds a missing, truncated or altered file.
    """
    manifest = read_manifest(directory, kind, version)
    for name, expected in manifest["files"].items():
        _check(directory / name, expected, kind, large)
    return manifest


def read_manifest(directory: Path, kind: str, version: int) -> dict[str, Any]:
    """Return the manifest of a directory that it seals: its kind, format version and that it lists files within, each
    with ``bytes`` and ``sha256``; the files themselves are not looked at. Raises as ``open_sealed``.
    """
    path = directory / MANIFEST
    if not directory.exists():
        raise InputError(f"{directory}: no such {kind}: there is nothing at this path")
    if not path.is_file():
        raise InputError(f"{directory}: not a {kind}: it has no {MANIFEST}")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("kind") != kind:
        found = manifest.get("kind") if isinstance(manifest, dict) else None
        raise InputError(f"{directory}: expected a {kind}, found {found or 'something else'}")
    if not isinstance(manifest.get("files"), dict):
        raise InputError(f"{path}: lists no files; the {kind} is damaged")
    if not isinstance(manifest.get("format"), int) or manifest["format"] > version:
        raise InputError(
            f"{directory}: {kind} format {manifest.get('format')}, but this dagfm reads up to {version}; upgrade dagfm"
        )
    own = manifest.pop(_OWN, None)
    if own is not None and own != fingerprint(manifest):
        raise InputError(f"{path}: its text differs from what was written; the {kind} is damaged or altered")
    for name, expected in manifest["files"].items():
        if not lies_within(directory, name):
            raise InputError(f"{path}: '{name}' points outside the {kind}")
        if not isinstance(expected, dict) or [type(expected.get(key)) for key in ("bytes", "sha256")] != [int, str]:
            raise InputError(f"{path}: '{name}' has no size and checksum; the {kind} is damaged")
    return manifest


def lies_within(directory: Path, name: str) -> bool:
    """Whether the file ``name``, relative to ``directory``, is one below it, wherever links lead."""
    try:
        top, path = directory.resolve(), (directory / name).resolve()
    except (ValueError, RuntimeError):  # no name of a file, or links that lead in a circle
        return False
    return path != top and path.is_relative_to(top)


def _check(path: Path, expected: Mapping[str, Any], kind: str, large: int | None) -> None:
    if not path.is_file():
        raise InputError(f"{path}: missing; the {kind} is incomplete")
    size = path.stat().st_size
    if size != expected["bytes"]:
        raise InputError(f"{path}: {size} bytes, expected {expected['bytes']}; the {kind} is truncated or altered")
    if large is not None and size > large:
        return
    if digest(path) != expected["sha256"]:
        raise InputError(f"{path}: checksum differs from the manifest; the {kind} is damaged or altered")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
