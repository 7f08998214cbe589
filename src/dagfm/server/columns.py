"""What a request must hold, worked out once for a model: its columns and what the cells of each may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagfm.schema import Schema

FEW = 256
"""Rows up to which columns are turned into rows: a table has a cost for each of its columns, a row does not."""


@dataclass(frozen=True)
class Column:
    """One column of the raw rows."""

    numbers: bool
    """Whether every field that reads it takes numbers."""
    width: int | None
    """How many numbers a cell holds, None for one."""
    lists: bool
    """Whether a cell has to be a list, as a text would not be cut."""


def columns_of(schema: Schema) -> dict[str, Column]:
    """The columns by name, in the order of the schema."""
    found = {}
    for name in schema.columns:
        fields = [one for one in schema if one.cross is None and one.source == name]
        width = max((one.width for one in fields if one.type == "float_seq"), default=None)
        found[name] = Column(
            numbers=all(one.type in ("float", "float_seq") for one in fields),
            width=width,
            lists=width is not None or any(one.type == "token_seq" and one.separator is None for one in fields),
        )
    return found


def as_rows(table: Mapping[str, Any], columns: Mapping[str, Column]) -> Any:
    """A small table as a list of rows, which scores faster; else as it is.

    As it is, too, where that would change what a cell says: the text of a float32 is not that of the same float64.
    """
    sizes = {len(cells) for cells in table.values()}
    if len(sizes) != 1 or not 0 < sizes.copy().pop() <= FEW:
        return table
    lists = []
    for name, cells in table.items():
        if isinstance(cells, np.ndarray):
            if cells.dtype.kind == "f" and cells.itemsize < 8 and name in columns and not columns[name].numbers:
                return table
            cells = cells.tolist()  # noqa: PLW2901
        lists.append(cells)
    names = tuple(table)
    return [dict(zip(names, cells, strict=True)) for cells in zip(*lists, strict=True)]
