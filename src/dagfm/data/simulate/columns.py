"""The columns of a simulated log: names, types, sides and how many ids each field has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import yaml

from dagfm.data.simulate.hashing import mixed
from dagfm.data.simulate.ids import Popularity
from dagfm.data.simulate.options import Options

LABEL = "click"
TIME = "timestamp"
START = 1_704_067_200
"""Seconds of the first row: 2024-01-01 00:00 UTC."""
_FEWEST = 4.0
"""Ids of the smallest field, where --ids is large enough."""


@dataclass(frozen=True)
class Column:
    """One field of the log."""

    index: int
    name: str
    side: str
    ids: int
    """How many ids it has; 0 for a number."""
    popularity: Popularity
    mean: float = 0.0
    """Numbers only, as ``std``."""
    std: float = 1.0

    @property
    def is_number(self) -> bool:
        """Whether the field holds numbers."""
        return not self.ids

    @property
    def weight(self) -> float:
        """How much of the truth hangs on it, relative to the others.

        It falls with the square root of the number of ids, for what hangs on many ids takes many rows to learn; among
        fields of few ids, a few do not have it all.
        """
        return float(((self.ids or 64) + 30) ** -0.5)


def columns(options: Options) -> tuple[Column, ...]:
    """The fields in the file's order: numbers n1, n2, ..., then ids t1, t2, ... from few ids to many.

    Every other field is a candidate's, so that both sides have small fields and large ones.
    """
    made = []
    for index, ids in enumerate([0] * options.numbers + cardinalities(options.fields - options.numbers, options.ids)):
        kind, place = ("t", index - options.numbers + 1) if ids else ("n", index + 1)
        width = len(str(options.fields - options.numbers if ids else options.numbers))
        chance = mixed(np.array([index]), options.seed, 0xC0).view(np.uint16) / 65536.0
        made.append(
            Column(
                index=index,
                name=f"{kind}{place:0{width}d}",
                side="candidate" if place % 2 == 0 else "context",
                ids=ids,
                popularity=Popularity(ids, options.zipf),
                mean=0.0 if ids else round(float(10 * chance[0]), 2),
                std=1.0 if ids else round(float(10 ** (chance[1] * 2 - 1)), 2),
            )
        )
    return tuple(made)


def cardinalities(fields: int, ids: int) -> list[int]:
    """How many ids each of ``fields`` fields has: log-spaced, ascending, and ``ids`` in all."""
    if not fields:
        return []
    first = min(_FEWEST, ids / fields)
    low, high = 1.0, float(ids)
    steps = np.arange(fields)
    for _ in range(200):
        ratio = (low + high) / 2
        with np.errstate(over="ignore"):
            total = float(np.sum(first * ratio**steps))
        low, high = (ratio, high) if total < ids else (low, ratio)
    sizes = [max(2, round(first * low**step)) for step in range(fields)]
    # Rounding left a little over or under; it is spread over the largest, which hardly notice.
    left, place = ids - sum(sizes), fields - 1
    while left:
        change = max(left, 2 - sizes[place])
        sizes[place] += change
        left -= change
        place -= 1
    return sorted(sizes)


def configuration(options: Options, fields: tuple[Column, ...], glob: str) -> str:
    """The text of the ``dagfm.yaml`` that trains on the log: context fields first."""
    head = {
        "data": {
            "train": glob,
            "label": LABEL,
            "split": {"by": "random", "ratios": [0.8, 0.1, 0.1], "seed": 2022},
        }
    }
    lines = [
        "# Written by 'dagfm data simulate'; the best reachable figures on these test rows are in simulation.json.",
        yaml.safe_dump(head, sort_keys=False, default_flow_style=None).rstrip(),
        "",
        f"# '{TIME}' is in the files too; it is no field.",
        "fields:",
    ]
    for column in sorted(fields, key=lambda column: column.side == "candidate"):
        kind = "float" if column.is_number else "token"
        told = "" if column.is_number else f"  # {column.ids:,} ids"
        lines.append(f"  - {{name: {column.name}, type: {kind}, side: {column.side}}}{told}")
    return "\n".join(lines) + "\n"
