"""What a request must hold, worked out once for a model: its columns and what the cells of each may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dagfm.kernel.encoding import MANY
from dagfm.schema import Schema


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


def as_lists(table: Mapping[str, Any], columns: Mapping[str, Column]) -> dict[str, Any]:
    """A table with its arrays as lists, of which the scorer reads a small table faster.

    Not where that would change what a cell says: the text of a float32 is not that of the same float64.
    """
    return {name: _as_list(cells, columns.get(name)) for name, cells in table.items()}


def _as_list(cells: Any, column: Column | None) -> Any:
    if not isinstance(cells, np.ndarray) or len(cells) > MANY:
        return cells
    narrow = cells.dtype.kind == "f" and cells.itemsize < 8
    return cells if narrow and column is not None and not column.numbers else cells.tolist()
