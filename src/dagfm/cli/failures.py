"""From exceptions to one clear message on stderr and an exit code; a bug keeps its traceback."""

from __future__ import annotations

import errno
import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any

import typer

from dagfm.errors import DagfmError, listed

INTERRUPTED = 130  # 128 + SIGINT, as shells count it

_LEFT_OUT = {
    **dict.fromkeys(("pyarrow", "yaml"), "what reads files: pip install pyarrow pyyaml"),
    "torch": "what trains: pip install torch",
}
"""Of the package's dependencies those that examples/serving does not install, by the name of their module."""

_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)

log = logging.getLogger(__name__)


_pressed = Event()
"""Set once Ctrl-C was pressed."""


def remember_interrupts() -> None:
    """Let ``reported`` know of Ctrl-C whatever becomes of the KeyboardInterrupt: compiled libraries that meet one raise
    an error of their own."""

    def interrupt(number: int, frame: Any) -> None:
        _pressed.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)


@contextmanager
def reported() -> Iterator[None]:
    """Turn what a user can cause into a message and ``typer.Exit``; let everything else rise.

    Wrong input leaves with 2, failures such as a full disk with 1, Ctrl-C with 130. ``--verbose`` shows the traceback
    of those too. A closed pipe rises to typer, which leaves quietly.
    """
    try:
        yield
    except BaseException as error:
        if _pressed.is_set() or isinstance(error, KeyboardInterrupt):
            _leave("interrupted; run the same command again to resume", INTERRUPTED)
        if isinstance(error, DagfmError):
            _leave(f"error: {error}", error.exit_code)
        if isinstance(error, ModuleNotFoundError) and error.name in _LEFT_OUT:
            _leave(f"error: {error}: an environment for serving alone leaves out {_LEFT_OUT[error.name]}", 1)
        if isinstance(error, OSError) and (message := _told(error)) is not None:
            _leave(f"error: {message}", 1)
        raise


def _told(error: OSError) -> str | None:
    """What to tell of an operating system's refusal; None where it names no path and so is ours to explain."""
    if error.errno in _DISK_FULL:
        where = f" while writing {error.filename}" if error.filename is not None else ""
        return f"disk full{where}: {error.strerror}; free some space and run the same command again"
    if error.filename is None:
        return None
    # polars raises errors of the operating system with a text alone.
    return f"{error.filename}: {error.strerror or listed(error.args)}"


def _leave(message: str, code: int) -> None:
    log.debug("traceback of the error below", exc_info=True)
    typer.echo(message, err=True)
    raise typer.Exit(code)
