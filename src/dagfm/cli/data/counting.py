"""A bar for the bytes that are read while rows are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def counting(paths: Sequence[str]) -> Iterator[Callable[[int], None]]:
    """Show a bar on a terminal's stderr; yields what is to be told how many bytes were read."""
    sizes = [Path(path).stat().st_size for path in paths if Path(path).is_file()]
    columns = (TextColumn("counting rows"), BarColumn(bar_width=24), DownloadColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        # Of globs, and of files found beside the given ones, the sizes are not known beforehand.
        task = bar.add_task("", total=sum(sizes) if len(sizes) == len(paths) else None)
        yield lambda read: bar.advance(task, read)
