"""A worker process as the supervisor has it: its id, and a channel to it."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable

from dagfm.server.channel import Channel
from dagfm.server.forking import fork
from dagfm.server.settings import Settings


class Worker:
    """A process that is forked at once."""

    def __init__(self, settings: Settings, listening: socket.socket, close: list[Callable[[], object]]) -> None:
        """``close`` is called in the new process, for what only the supervisor is to hold. Raises OSError where there
        can be no further process or file."""
        ours, theirs = socket.socketpair()

        def run() -> int:
            from dagfm.server.worker import main  # noqa: PLC0415 - has polars start threads

            return main(settings, Channel(theirs), listening)

        try:
            self.pid = fork(run, [*close, ours.close])
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        self.channel = Channel(ours)
        self.send = self.channel.send
        self.ready = False

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, which a process that has just ended does not mind."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit status, or less a signal's number."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
