"""The folder of one server, for its workers' figures and its copies of bundles: it is gone when the server is."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from dagfm.errors import DagfmError

_PREFIX = "dagfm-serve-"
_LOCK = ".lock"
"""Locked for as long as the server or a process that was forked from it lives."""


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    """A new one below TMPDIR, where those that servers left which were killed are removed.

    Raises DagfmError where none can be made.
    """
    try:
        _remove_left(Path(tempfile.gettempdir()))
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
        lock = _locked(folder)
    except OSError as error:
        raise DagfmError(
            f"no folder for figures and copies of bundles can be made ({error.strerror}); TMPDIR says where"
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _locked(folder: Path) -> int:
    """The file descriptor that holds the lock of a new folder."""
    fresh = folder / f"{_LOCK}.new"
    number = os.open(fresh, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(number, fcntl.LOCK_EX)
    fresh.rename(folder / _LOCK)  # nobody sees it free
    return number


def _remove_left(parent: Path) -> None:
    for folder in parent.glob(f"{_PREFIX}*"):
        try:
            number = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # it is no server's, or another user's
            continue
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # in use
            continue
        finally:
            os.close(number)
