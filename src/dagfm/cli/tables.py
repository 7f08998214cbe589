"""Tables as a terminal shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from dagfm.report.frontier import HEADER as FRONTIER
from dagfm.report.frontier import advice, frontier_rows
from dagfm.report.table import HEADER, group_header, group_rows, reused, table_rows, verdict

_GAP, _EDGES = 3, 2
"""Characters between two columns, and at both ends of a row."""


def plain_table(header: Sequence[str], rows: Sequence[Sequence[str]], least: int | None = None, left: int = 1) -> None:
    """Print a table with the first column, or ``left`` of them, to the left and the others to the right.

    Where the terminal is too narrow, columns from the right on are left out, all but ``least``; None leaves out none.
    """
    if least is not None:
        count = _columns_that_fit(header, rows, least, _console().width)
        header, rows = header[:count], [row[:count] for row in rows]
    _console().print(_table(header, rows, left))


def _columns_that_fit(header: Sequence[str], rows: Sequence[Sequence[str]], least: int, width: int) -> int:
    widths = [max(map(cell_len, column)) for column in zip(header, *rows, strict=True)]
    count = len(widths)
    while count > least and sum(widths[:count]) + _GAP * (count - 1) + _EDGES > width:
        count -= 1
    return count


def print_results(directory: Path, results: Mapping[str, Any]) -> None:
    """Print the table that a user decides by, the differences, and where the bundle is."""
    console = _console()
    console.print(_table(HEADER, table_rows(results), left=2))
    for sentence in verdict(results):
        console.print(sentence)
    if within := group_rows(results):
        console.print(_table(group_header(results), within, left=2))
    if found := frontier_rows(results):
        console.print(_table(FRONTIER, found, left=1))
    if (told := advice(results)) is not None:
        console.print(told, soft_wrap=True)
    for sentence in reused(results):
        console.print(sentence, soft_wrap=True)
    if results["served"] is not None:
        served = results["served"]
        console.print(
            f"* served: {served['name']} after {served['phase']}, seed {served['seed']}: {directory / 'bundle'}"
        )


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> Table:
    """A table whose first columns stand to the ``left``."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _console() -> Console:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 200  # rich assumes 80 columns there and would cut figures
    return console
