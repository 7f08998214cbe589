"""The ``.dagfm`` folder: what has been prepared and converted there, who is at work on it, and how it goes away."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dagfm.files import MANIFEST
from dagfm.progress import Progress

KINDS = {"prepared": "prepared data", "converted": "text as Parquet"}
"""Folders of ``.dagfm``, and what each entry there is."""


@contextmanager
def claim(folder: Path, key: str, progress: Progress) -> Iterator[None]:
    """Be the only process that writes ``folder/key``: another one is waited for. The lock dies with its process."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = _lock(folder, key)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        progress.line(f"another process is at work on the same {KINDS.get(folder.name, 'data')}; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Stored:
    """One prepared or converted directory, or what an interrupted run has left of it."""

    path: Path
    name: str
    kind: str
    finished: bool
    size: int
    """Bytes."""
    written: str
    """When it was last written, local time."""

    def remove(self) -> bool:
        """Remove it; False where a process is at work on it."""
        try:
            with _lock(self.path.parent, self.name).acquire(timeout=0):
                doomed = self.path.with_name(f".{self.name}.removed.tmp")
                self.path.rename(doomed)  # whole or not at all: nothing half-removed looks finished
                shutil.rmtree(doomed)
        except Timeout:
            return False
        (self.path.parent / f".{self.name}.lock").unlink(missing_ok=True)
        return True

    def described(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "path": str(self.path)}


def stored(home: Path) -> list[Stored]:
    """Everything in a ``.dagfm`` folder, by kind and age."""
    found = []
    for folder, kind in KINDS.items():
        for path in (home / folder).glob("*"):
            if path.is_dir():
                name = path.name.removesuffix(".tmp").removeprefix(".")
                finished = not path.name.endswith(".tmp") and (path / MANIFEST).is_file()
                sizes = [file.stat() for file in path.rglob("*") if file.is_file()]
                last = max((one.st_mtime for one in sizes), default=path.stat().st_mtime)
                when = datetime.fromtimestamp(last).strftime("%Y-%m-%d %H:%M")
                found.append(Stored(path, name, kind, finished, sum(one.st_size for one in sizes), when))
    return sorted(found, key=lambda one: (one.kind, one.written))


def _lock(folder: Path, key: str) -> FileLock:
    return FileLock(folder / f".{key}.lock")
