"""What can be asked of a simulation, with limits and defaults."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from dagfm.errors import InputError, listed, suggestion

FORMATS = ("parquet", "csv")
ORDERS = (1, 2, 3, 4)
SHARES = (0.6, 0.3, 0.1, 0.1)
"""Of the logit's variance, by order; those of the orders that take part are scaled to add up to 1."""

_LARGEST = 1 << 32


@dataclass(frozen=True)
class Options:
    """What a simulation is made from; equal options give equal bytes. Raises InputError naming the wrong option."""

    rows: int = 1_000_000
    """Rows of the log."""
    fields: int = 10
    """Fields of the log, numbers and ids together."""
    ids: int = 10_000
    """Ids of all id fields together; the fields' numbers of ids are log-spaced from about 4."""
    order: int = 3
    """Highest order of the interactions, 1 to 4."""
    floats: int | None = None
    """How many of the fields are numbers; a third of the fields from 15 fields on, else none."""
    zipf: float = 1.2
    """Exponent of the ids' popularity; 0 makes all ids equally frequent."""
    click_rate: float = 0.2
    """Expected share of clicks."""
    signal: float = 1.8
    """Standard deviation of the part of the logit that the interactions make."""
    pair_effect: float = 0.0
    """Standard deviation of an effect drawn for every pair of ids of two fields: no low rank explains it."""
    drift: float = 0.0
    """Standard deviation by which the ids' effects have moved from the middle of 30 days to either end."""
    noise: float = 0.0
    """Standard deviation of a part of the logit that nothing in the files explains."""
    per_day: int | None = None
    """Rows in a day; by default the log lasts 30 days."""
    seed: int = 2022
    """Everything follows from it."""
    format: str = "parquet"
    """Format of the shards: parquet or csv."""
    shard_rows: int = 1_000_000
    """Rows in a file; it does not change the rows."""

    def __post_init__(self) -> None:
        self._between("rows", 10, 1 << 40, "so that train, valid and test each hold a row")
        self._between("fields", 1, 1000)
        if self.floats is None:
            object.__setattr__(self, "floats", self.fields // 3 if self.fields >= 15 else 0)
        self._between("floats", 0, self.fields, "at most all of --fields")
        tokens = self.fields - self.numbers
        if tokens:
            self._between("ids", 2 * tokens, _LARGEST, f"at least 2 for each of {tokens} id fields")
        if self.order not in ORDERS:
            raise InputError(f"--order: {self.order} is not an order; valid: {listed(ORDERS)}")
        if self.order > self.fields:
            raise InputError(
                f"--order: interactions of {self.order} fields, but --fields is {self.fields}; "
                f"expected at most {self.fields}"
            )
        self._between("zipf", 0.0, 5.0)
        for name in ("signal", "pair_effect", "drift", "noise"):
            self._between(name, 0.0, 5.0)
        if not 0.0 < self.click_rate < 1.0:
            raise InputError(f"--click-rate: {self.click_rate:g}, expected a share between 0 and 1, neither included")
        if self.pair_effect and self.fields - self.numbers < 2:
            raise InputError("--pair-effect: a pair of ids needs two id fields; raise --fields or lower --floats")
        if self.per_day is not None:
            self._between("per_day", 1, 1 << 40)
        self._between("seed", 0, (1 << 63) - 1)
        self._between("shard_rows", 1, 1 << 31)
        if self.format not in FORMATS:
            raise InputError(
                f"--format: unknown format '{self.format}'; valid: {listed(FORMATS)}.{suggestion(self.format, FORMATS)}"
            )

    @property
    def numbers(self) -> int:
        """How many of the fields are numbers."""
        return self.floats or 0

    @property
    def days(self) -> float:
        """How long the log lasts."""
        return 30.0 if self.per_day is None else self.rows / self.per_day

    def as_json(self) -> dict[str, Any]:
        """Every option with its value, the defaults filled in."""
        return asdict(self)

    def _between(self, name: str, least: float, most: float, why: str = "") -> None:
        value = getattr(self, name)
        if not math.isfinite(value) or not least <= value <= most:
            bounds = f"{least:,} to {most:,}" if isinstance(least, int) else f"{least:g} to {most:g}"
            raise InputError(f"--{name.replace('_', '-')}: {value:,}, expected {bounds}{f' ({why})' if why else ''}")
