"""Patched bundles on disk: beside the bundle that they are to replace, and then in its place."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
import tempfile
from pathlib import Path

from dagfm.errors import InputError
from dagfm.files import flush, put_in_place
from dagfm.server.sources import fingerprint

log = logging.getLogger(__name__)


def workplace(folder: str | None) -> Path:
    """A folder for this process to patch in, in that of the server where it has one."""
    return Path(tempfile.mkdtemp(prefix=f".patch-{os.getpid()}-", dir=folder))


def remove_workplaces(folder: Path, pid: int) -> None:
    """Remove those that a process has left, as it was killed."""
    for left in folder.glob(f".patch-{pid}-*"):
        shutil.rmtree(left, ignore_errors=True)


def beside(target: Path) -> Path:
    """A place for the next bundle at ``target``, from which it can be renamed there."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}.patched.tmp")


def remove_unfinished(target: Path) -> None:
    """Remove what servers that were killed have left beside ``target``."""
    for pattern in (f".{target.name}.*.patched.tmp*", f"..{target.name}.*.patched.tmp.new.tmp"):
        for left in target.parent.glob(pattern):
            shutil.rmtree(left, ignore_errors=True)


def copy_beside(bundle: Path, target: Path) -> Path | None:
    """Copy ``bundle`` beside ``target``; None, and a line in the log, where that cannot be written."""
    fresh = beside(target)
    try:
        shutil.copytree(bundle, fresh)
        flush(fresh)
    except OSError as error:  # shutil.Error is one
        log.warning("%s: cannot be replaced by the patched bundle (%s)", target, error)
        shutil.rmtree(fresh, ignore_errors=True)
        return None
    return fresh


def exchange(fresh: Path, target: Path, mark: str) -> Path | None:
    """Put ``fresh`` in the place of the bundle ``target``, and return where that lies now.

    None, and nothing is done, where ``target`` has another fingerprint than ``mark`` by now, or cannot be renamed.
    """
    try:
        if fingerprint(target) == mark:
            return put_in_place(fresh, target)
        log.warning("%s: was replaced while the bundle there was patched, and is left as it is", target)
    except (InputError, OSError) as error:
        log.warning("%s: cannot be replaced by the patched bundle (%s)", target, error)
    return None
