"""What a file is, from its first lines; and where it is another than the expected one, an error that says which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dagfm.data.catalog.entry import DataSet, Layout
from dagfm.data.catalog.names import CATALOG
from dagfm.data.catalog.sample import Sample
from dagfm.errors import InputError, listed, suggestion

_SEPARATORS = {"\t": "tabs", ",": "commas", "::": "'::'", ";": "semicolons", "|": "'|'", " ": "spaces"}
_SHOWN = 60
"""Characters of a file's text that a message shows at most."""


def layouts(dataset: DataSet) -> list[Layout]:
    """The layouts of the files that the data set's recipe reads, each once."""
    found: list[Layout] = []
    for edition in dataset.editions:
        found += [part.layout for part in edition.parts.values() if part.layout not in found]
    return found


def fitting(sample: Sample, dataset: DataSet) -> list[Layout]:
    """Those of the data set's layouts that the file has. Raises InputError, telling what it seems to be, for none."""
    wanted = layouts(dataset)
    faults = [(layout, fault(sample, layout)) for layout in wanted]
    if found := [layout for layout, wrong in faults if wrong is None]:
        return found
    expected = " or ".join(f"{layout.title}, {layout.shape}" for layout in _main(dataset))
    for other in _known():
        if other not in wanted and fault(sample, other) is None:
            advice = f"; {other.advice}" if other.advice else ""
            raise InputError(f"{sample.path}: this looks like {other.title}{advice}. Expected {expected}")
    _, reason = max((wrong for _, wrong in faults if wrong is not None), key=lambda wrong: wrong[0])
    raise InputError(f"{sample.path}: {reason}. Expected {expected}")


def fault(sample: Sample, layout: Layout) -> tuple[int, str] | None:
    """Why the file is not of this layout: how near it came, and the reason in words; None where it is."""
    rows = sample.rows(layout)
    if not rows:
        return 0, "no lines"
    if not sample.has_header(layout):
        return _fault_of_columns(sample, layout, len(rows[0])) or _fault_of_cells(rows, layout, layout.columns, 1)
    names = rows[0]
    missing = [name for name in layout.columns if name not in names]
    if missing:
        near = suggestion(missing[0], names) if len(missing) == 1 else ""
        told = f"{listed(missing[:6])}{', ...' if len(missing) > 6 else ''}"
        found = _shown(
            f"the columns {listed(names)}" if sample.table is not None else f"the first line {_line(sample)}"
        )
        return int(len(missing) < len(layout.columns) / 2), f"{found} lacks {told}.{near}".removesuffix(".")
    if len(rows) == 1:
        return 2, "a header and no rows"
    return _fault_of_cells(rows[1:], layout, names, 2)


def _fault_of_columns(sample: Sample, layout: Layout, found: int) -> tuple[int, str] | None:
    """Whether the first line of a file without a header has another number of cells."""
    expected = len(layout.columns)
    if found == expected:
        return None
    between = _SEPARATORS[layout.separator]
    if found == 1:
        line = _line(sample)
        separator = max(_SEPARATORS, key=line.count)
        cells = line.count(separator) + 1
        if cells > 1:
            told = f"{cells} columns separated by {_SEPARATORS[separator]}"
            return int(cells == expected), f"the first line has {told}, expected {expected} separated by {between}"
        return 0, f"the first line is {_shown(repr(line))}, expected {expected} columns separated by {between}"
    return 1, f"the first line has {found} columns separated by {between}, expected {expected}"


def _fault_of_cells(rows: list[list[str]], layout: Layout, names: Iterable[str], first: int) -> tuple[int, str] | None:
    names = list(names)
    checks = [
        (names.index(name), name, cell, re.compile(cell.pattern))
        for name, cell in layout.cells.items()
    ]  # fmt: skip
    for number, cells in enumerate(rows, first):
        if len(cells) != len(names):
            return 2, f"line {number} has {len(cells)} columns, expected {len(names)}"
        for index, name, cell, pattern in checks:
            if not pattern.fullmatch(cells[index]):
                return 3, f"line {number}: column '{name}' is {_shown(repr(cells[index]))}, expected {cell.words}"
    return None


def _main(dataset: DataSet) -> list[Layout]:
    """The layouts of the files with rows, the usual one first."""
    found: list[Layout] = []
    for edition in dataset.editions:
        found += [part.layout for part in edition.main.values() if part.layout not in found]
    return found


def _known() -> Iterator[Layout]:
    for dataset in CATALOG.values():
        yield from layouts(dataset)
        yield from dataset.others


def _line(sample: Sample) -> str:
    return sample.lines[0].decode("utf-8", "replace") if sample.lines else ""


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
