"""A process that applies one patch: ``python -m dagfm.server.patching``, with its ``Task`` on stdin.

Not the worker: a patch that asks for all memory, or holds what nobody thought of, ends this process and no other, and
none of it takes the interpreter from requests. It answers on stdout with an ``Outcome``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
import threading
import traceback
from pathlib import Path

import msgspec
from msgspec import Struct

from dagfm.errors import DagfmError
from dagfm.server.answers import LONGEST
from dagfm.server.canary import load_checked
from dagfm.server.models import without_paths
from dagfm.server.sources import fingerprint
from dagfm.serving import patches

SPARE = 256 << 20
"""Bytes that a bundle may grow by, beyond twice its size."""
_MEMORY = 1 << 30
"""Bytes of memory beyond twice what the bundle may come to."""


class Task(Struct, frozen=True):
    """What is asked of the process."""

    patch: str
    bundle: str
    """What the patch is for."""
    result: str
    """Where the patched bundle is to lie, which is not there yet."""


class Outcome(Struct, frozen=True):
    """What came of it."""

    status: int = 200
    refused: str = ""
    """Why nothing did, in words for the client."""


def apply(task: Task) -> Outcome:
    """Apply the patch; what it leads to is whole and passes the canary."""
    path, bundle, result = Path(task.patch), Path(task.bundle), Path(task.result)
    unfinished = result.with_name(f".{result.name}.new.tmp")
    paths = {path: "body", unfinished: "bundle", result: "bundle", bundle: "base"}
    most = 2 * sum(one.stat().st_size for one in bundle.rglob("*") if one.is_file()) + SPARE
    _limit(resource.RLIMIT_DATA, _MEMORY + 2 * most)
    _limit(resource.RLIMIT_FSIZE, most)
    try:
        patches.apply(bundle, path, result, most)
        load_checked(result, fingerprint(result), verify=False)
    except DagfmError as error:
        return Outcome(400, without_paths(error, paths)[:LONGEST])
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome(507, "the server has no disk space for it")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return Outcome(409, "the bundle lies where the server may not write")
        raise
    return Outcome()


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _end_with_parent() -> None:
    """Whoever wants the outcome holds the other end of stdin, and no longer when killed."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> int:
    """Answer on stdout; anything but 0, with a traceback on stderr, says that the patch holds what it should not."""
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return 1  # whoever wanted it is gone
    task = msgspec.json.decode(line, type=Task)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(10)
    try:
        outcome = apply(task)
    except BaseException:  # also a panic of a compiled library, which is no Exception
        traceback.print_exc()
        return 1
    with contextlib.suppress(BrokenPipeError):  # the same
        sys.stdout.buffer.write(msgspec.json.encode(outcome))
        sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    os._exit(main())
