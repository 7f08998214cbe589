"""A process forked from this one, which begins as a new one would but for the memory that both go on sharing."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterable

from dagfm.server.signals import ENDING, ignored


def fork(run: Callable[[], int], close: Iterable[Callable[[], object]]) -> int:
    """Start a process that calls ``close`` one by one, then ``run``, and ends with its result; returns the process id.

    This process must have a single thread: of locks that another one holds the new process would never be rid. Raises
    OSError where there can be no further process.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    # Until it has handlers of its own, signals to the new process would be reported to this one.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    pid = -1
    try:
        pid = os.fork()
    finally:
        if pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if pid:
        return pid
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        for number in ENDING:
            if not ignored(number):
                signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for one in close:
            one()
        _without_input()
        status = run()
    except BaseException:
        traceback.print_exc()
    finally:
        # Not by way of the interpreter's end: what this process would undo there belongs to the other, and it would
        # wait for a thread that may be scoring still.
        os._exit(status)


def _without_input() -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
