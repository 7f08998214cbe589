"""A progress bar on a terminal, with rows/s and the time left; log lines everywhere else."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from dagfm.progress import LoggedProgress
from dagfm.progress import Progress as Watcher


class BarProgress:
    """One bar for the part that is running; an epoch's figures are printed above it."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._console = Console(stderr=True, highlight=False)
        self._title = ""

    def start(self, title: str, rows: int, done: int = 0) -> None:
        self.finish()
        self._title = title
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[speed]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=rows, completed=done, speed="")
        self._bar.start()

    def advance(self, rows: int) -> None:
        if self._bar is not None:
            speed = self._bar.tasks[0].speed
            self._bar.update(self._task, advance=rows, speed=f"{speed:,.0f} rows/s" if speed else "")

    def line(self, text: str) -> None:
        self._console.print(f"{self._title}: {text}" if self._title else text)

    def finish(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
            self._title = ""


def progress_for_stderr() -> Watcher:
    """A bar where somebody watches, log lines where a file or another program does."""
    return BarProgress() if sys.stderr.isatty() else LoggedProgress()
