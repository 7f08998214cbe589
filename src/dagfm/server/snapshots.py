"""Private copies of the bundles that are served, so that nothing done to the files afterwards matters.

A scorer maps its tables into memory. Somebody who then writes into the file, as ``cp`` does, would change scores or end
the process. And a worker that replaces another must load what the others serve, whatever lies at the path by now.
"""

from __future__ import annotations

import shutil
from collections.abc import Collection
from pathlib import Path

from filelock import FileLock

from dagfm.errors import InputError
from dagfm.server.sources import fingerprint


class Snapshots:
    """The copies of one server, by the bundle's fingerprint, shared by its workers."""

    def __init__(self, folder: Path | None) -> None:
        """In ``folder``; None serves bundles where they lie."""
        self._folder = folder

    def take(self, bundle: Path, mark: str) -> Path:
        """Where to load the bundle with the fingerprint ``mark`` from; copies it unless somebody has.

        Raises InputError where ``bundle`` has another fingerprint by now.
        """
        if self._folder is None:
            return bundle
        copy = self._folder / mark
        # One copies, and those that start at the same time wait for it.
        with FileLock(self._folder / f".{mark}.lock"):
            if not copy.exists():
                self._copy(bundle, mark, copy)
        return copy

    def _copy(self, bundle: Path, mark: str, to: Path) -> None:
        fresh = to.with_name(f".{mark}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            shutil.copytree(bundle, fresh, copy_function=_copy_file)
            if fingerprint(fresh) != mark:
                raise InputError(f"{bundle}: was replaced while it was copied")
            fresh.rename(to)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def adopt(self, bundle: Path, mark: str) -> Path:
        """Make ``bundle``, whole and on the same disk, the copy of ``mark``, unless there is one."""
        assert self._folder is not None
        copy = self._folder / mark
        with FileLock(self._folder / f".{mark}.lock"):
            if not copy.exists():
                bundle.rename(copy)
        return copy

    def find(self, mark: str) -> Path | None:
        """The copy of this fingerprint, if there is one."""
        copy = None if self._folder is None else self._folder / mark
        return copy if copy is not None and copy.exists() else None

    def discard(self, mark: str) -> None:
        """Remove a copy that turned out not to be whole."""
        if self._folder is not None:
            shutil.rmtree(self._folder / mark, ignore_errors=True)

    def keep_only(self, marks: Collection[str]) -> None:
        """Remove all others; who has mapped one keeps its memory."""
        if self._folder is not None:
            for copy in self._folder.iterdir():
                if copy.name not in marks and not copy.name.startswith("."):
                    shutil.rmtree(copy, ignore_errors=True)


def _copy_file(source: str, to: str) -> None:
    try:
        shutil.copy2(source, to)
    except OSError as error:  # a full disk, or a file that went away meanwhile
        raise InputError(f"{source}: cannot be copied ({error.strerror})") from None
