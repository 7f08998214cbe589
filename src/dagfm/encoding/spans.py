"""Where each field's rows lie in the one embedding table of all fields."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dagfm.encoding.rows import Int64


@dataclass(frozen=True, eq=False)
class Spans:
    """Row ``id`` of field ``s`` is row ``starts[s] + id`` of the table; fields that share a vocabulary share a span."""

    starts: Int64
    """(F,), in node order."""
    sizes: Int64
    """(F,), rows of each field."""

    @property
    def total(self) -> int:
        """Rows of the table."""
        return int((self.starts + self.sizes).max())

    def slice_of(self, node: int) -> slice:
        """The rows of one field."""
        return slice(int(self.starts[node]), int(self.starts[node] + self.sizes[node]))

    @property
    def own(self) -> tuple[int, ...]:
        """The nodes whose span no earlier node has: each table row belongs to exactly one of them."""
        return tuple(np.unique(self.starts, return_index=True)[1].tolist())
