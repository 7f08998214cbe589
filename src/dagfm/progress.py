"""What a long run tells its watcher: which part is running, how many rows are done, a line an epoch, sizes in words."""

from __future__ import annotations

import logging
import time
from typing import Protocol

log = logging.getLogger("dagfm")


class Progress(Protocol):
    """Something that shows progress; the command line draws a bar, a library user gets log lines."""

    def start(self, title: str, rows: int, done: int = 0) -> None:
        """A part of ``rows`` rows begins, ``done`` of them by an earlier process."""

    def advance(self, rows: int) -> None:
        """So many more rows are done."""

    def line(self, text: str) -> None:
        """Something worth a line, such as an epoch's figures."""

    def finish(self) -> None:
        """The part is over."""


class LoggedProgress:
    """Log lines: one now and then with rows/s and the time left, and one an epoch."""

    def __init__(self, every_seconds: float = 10.0) -> None:
        self._every = every_seconds
        self._title, self._rows, self._first, self._done = "", 0, 0, 0
        self._started = self._told = time.monotonic()

    def start(self, title: str, rows: int, done: int = 0) -> None:
        self._title, self._rows, self._first, self._done = title, rows, done, done
        self._started = self._told = time.monotonic()

    def advance(self, rows: int) -> None:
        self._done += rows
        now = time.monotonic()
        if now - self._told >= self._every:
            self._told = now
            speed = (self._done - self._first) / max(now - self._started, 1e-9)
            left = (self._rows - self._done) / max(speed, 1e-9)
            share = self._done / max(self._rows, 1)
            log.info("%s: %.0f %%, %s rows/s, at most %.0f s left", self._title, 100 * share, f"{speed:,.0f}", left)

    def line(self, text: str) -> None:
        log.info("%s", f"{self._title}: {text}" if self._title else text)

    def finish(self) -> None:
        self._title = ""


def size_text(count: float) -> str:
    """Bytes as a person reads them: ``1.5 GB``."""
    for unit in ("bytes", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
