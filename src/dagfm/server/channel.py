"""Messages between the supervisor and a worker: JSON, a line each, over a socket pair."""

from __future__ import annotations

import socket
import threading
from typing import Any

import msgspec


class Channel:
    """One end. Any thread may send; one at a time receives."""

    def __init__(self, end: socket.socket) -> None:
        self._socket, self._rest = end, b""
        self._sending = threading.Lock()

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, **message: Any) -> bool:
        """Send a message; False where the other end is gone."""
        try:
            with self._sending:
                self._socket.sendall(msgspec.json.encode(message) + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> list[dict[str, Any]] | None:
        """Wait for something to arrive; the messages that are whole by then, or None where the other end is gone."""
        try:
            data = self._socket.recv(1 << 16)
        except OSError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [msgspec.json.decode(line) for line in lines]

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
