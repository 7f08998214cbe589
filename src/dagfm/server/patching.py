"""A process that applies one patch: ``python -m dagfm.server.patching``, with its ``Task`` on stdin.

Not the worker: a patch that asks for all memory, or holds what nobody thought of, ends this process and no other, and
none of it takes the interpreter from requests. It answers on stdout with an ``Outcome``.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import threading
import traceback
from pathlib import Path

import msgspec
from msgspec import Struct

from dagfm.errors import DagfmError, listed
from dagfm.server.answers import LONGEST
from dagfm.server.canary import load_checked
from dagfm.server.models import without_paths
from dagfm.server.sources import fingerprint
from dagfm.serving import patches
from dagfm.serving.patches.container import PatchReader

SPARE = 256 << 20
"""Bytes that a bundle may grow by, beyond twice its size."""
_MEMORY = 1 << 30
"""Bytes of memory beyond twice what the bundle may come to."""


class Choice(Struct, frozen=True):
    """A served version that a patch may be for."""

    version: str
    mark: str
    bundle: str
    """Where it lies."""
    result: str
    """Where the patched bundle is to lie, which is not there yet."""


class Task(Struct, frozen=True):
    """What is asked of the process."""

    patch: str
    model: str
    choices: list[Choice]


class Outcome(Struct, frozen=True):
    """What came of it."""

    mark: str = ""
    """The fingerprint of the bundle that the patch leads to."""
    choice: Choice | None = None
    """Which it was for; None where the bundle that it leads to is served already, or where it was refused."""
    status: int = 200
    refused: str = ""
    """Why, in words for the client."""


def apply(task: Task) -> Outcome:
    """Apply the patch to the version that it is for; what it leads to is whole and passes the canary."""
    path = Path(task.patch)
    paths = {path: "patch"}
    try:
        with path.open("rb") as file:
            contents = PatchReader(file, path).contents
        base, mark = contents.base[:12], contents.result[:12]
        served = {choice.mark: choice for choice in task.choices}
        if mark in served:
            return Outcome(mark)
        if base not in served:
            others = listed(served) or "nothing"
            return Outcome(
                status=409, refused=f"the patch is for the bundle {base}, but model '{task.model}' serves {others}"
            )
        choice = served[base]
        bundle, result = Path(choice.bundle), Path(choice.result)
        paths |= {result.with_name(f".{result.name}.new.tmp"): "bundle", result: "bundle", bundle: "base"}
        most = 2 * sum(one.stat().st_size for one in bundle.rglob("*") if one.is_file()) + SPARE
        _limit(resource.RLIMIT_DATA, _MEMORY + 2 * most)
        _limit(resource.RLIMIT_FSIZE, most)
        patches.apply(bundle, path, result, most)
        load_checked(result, fingerprint(result), verify=False)
        return Outcome(mark, choice)
    except DagfmError as error:
        return Outcome(status=400, refused=without_paths(error, paths)[:LONGEST])
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return Outcome(status=507, refused="the server has no disk space for it")
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            return Outcome(status=409, refused="the bundle lies where the server may not write")
        raise


def _limit(what: int, most: int) -> None:
    _, hard = resource.getrlimit(what)
    resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _end_with_parent() -> None:
    """Whoever wants the outcome holds the other end of stdin, and no longer when killed."""
    sys.stdin.buffer.read()
    os._exit(1)


def main() -> int:
    """Answer on stdout; anything but 0, with a traceback on stderr, says that the patch holds what it should not."""
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    os.nice(10)
    try:
        outcome = apply(task)
    except BaseException:  # also a panic of a compiled library, which is no Exception
        traceback.print_exc()
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(outcome))
    sys.stdout.buffer.flush()
    return 0


if __name__ == "__main__":
    os._exit(main())
