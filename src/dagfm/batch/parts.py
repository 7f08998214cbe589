"""What a file of scores is made of: parts beside it, which a run that was cut off leaves to the next one."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dagfm.errors import InputError, listed
from dagfm.files import MANIFEST, fingerprint, read_json, remove_leftovers, write_json

log = logging.getLogger(__name__)

KIND = "dagfm scored parts"
_LOCK = ".lock"


@dataclass(frozen=True)
class Parts:
    """The folder ``OUT.parts``: parts by their number, and a manifest of what they were made from."""

    folder: Path
    suffix: str

    def path(self, number: int) -> Path:
        """Where a part is, once it is finished."""
        return self.folder / f"{number:06d}{self.suffix}"

    def finished(self) -> list[Path]:
        """Those without a gap from the first on; others are removed."""
        found = sorted(self.folder.glob(f"*{self.suffix}"))
        whole = [path for number, path in enumerate(found) if path == self.path(number)]
        for path in found[len(whole) :]:
            path.unlink()
        return whole


@contextmanager
def parts_of(output: Path, made_from: Mapping[str, Any]) -> Iterator[Parts]:
    """The parts of ``output``, this process's own as long as the context lasts, and gone after it.

    ``made_from``: by its name whatever decides what a part holds, for JSON; parts that were made from anything else are
    removed, and it is said what differs. After an error that is not the input's, such as an interrupt or a full disk,
    finished parts stay. Raises InputError where another process writes them, or the folder holds something else.
    """
    parts = Parts(output.with_name(f"{output.name}.parts"), output.suffix)
    made = [folder for folder in parts.folder.parents if not folder.exists()]
    parts.folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(parts.folder / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(f"{output}: another process is writing it; wait for it, or write elsewhere") from None
    try:
        _check_ours(parts.folder)
        try:
            _claim(parts, {name: fingerprint(value) for name, value in made_from.items()})
            yield parts
        except BaseException as error:
            if not isinstance(error, InputError) and _held(parts.folder, MANIFEST):
                log.info("%s: what is finished stays in %s", output, parts.folder)
                raise
            _remove(parts.folder)
            raise
        _remove(parts.folder)
    finally:
        lock.release()
        if not _held(parts.folder):
            (parts.folder / _LOCK).unlink(missing_ok=True)
            for folder in (parts.folder, *made):
                with suppress(OSError):  # holds something, such as the output
                    folder.rmdir()


def _check_ours(folder: Path) -> None:
    held = [name for name in _held(folder) if not (name.startswith(f".{MANIFEST}") and name.endswith(".tmp"))]
    manifest = read_json(folder / MANIFEST) if MANIFEST in held else None
    if held and not (isinstance(manifest, dict) and manifest.get("kind") == KIND):
        raise InputError(f"{folder}: holds something else ({listed(held[:3])}); remove it, or write elsewhere")
    remove_leftovers(folder)


def _claim(parts: Parts, made_from: dict[str, str]) -> None:
    """Leave in the folder what was made from the same."""
    manifest = parts.folder / MANIFEST
    if manifest.exists():
        earlier = read_json(manifest).get("made_from")
        known = earlier if isinstance(earlier, dict) else {}
        changed = [name for name, value in made_from.items() if known.get(name) != value]
        if not changed:
            return
        log.info("%s: %s changed since: starting over", parts.folder, listed(changed))
        for path in parts.folder.glob(f"*{parts.suffix}"):
            path.unlink()
    write_json(manifest, {"kind": KIND, "made_from": made_from})


def _held(folder: Path, *but: str) -> list[str]:
    """Names of what is in the folder, beside the lock and ``but``."""
    return sorted(path.name for path in folder.iterdir() if path.name not in (_LOCK, *but))


def _remove(folder: Path) -> None:
    for name in _held(folder):
        path = folder / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
