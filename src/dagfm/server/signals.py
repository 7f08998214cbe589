"""Signals that end a server, as something to wait for beside sockets."""

from __future__ import annotations

import signal
import socket

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def ignored(number: signal.Signals) -> bool:
    """Whether the process was started to ignore a signal, as nohup has it with SIGHUP; that goes on."""
    return number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN


class Signals:
    """Those that arrive from now on; of the main thread."""

    def __init__(self) -> None:
        self._inbox, self._outbox = socket.socketpair()
        self._inbox.setblocking(False)
        self._outbox.setblocking(False)
        signal.set_wakeup_fd(self._outbox.fileno())
        for number in ENDING:
            if not ignored(number):
                signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        """For selectors."""
        return self._inbox.fileno()

    def received(self) -> set[int]:
        """The numbers of those since the last call; only where a selector says that there are some."""
        return set(self._inbox.recv(64))

    def close(self) -> None:
        """Hear of none any more."""
        signal.set_wakeup_fd(-1)
        self._inbox.close()
        self._outbox.close()
