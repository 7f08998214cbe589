"""Calls of the compiled kernel for the embedding table: which rows a batch looks up, their sums, and a step of them."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.library import VERSIONS, TableCall, chosen_version, library

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Longs = NDArray[np.int64]

RULES = ("adam", "adagrad", "sgd")


@dataclass(frozen=True)
class Bags:
    """V ids of table rows, bag by bag, as ``nn.Batch`` has them."""

    ids: Longs
    """(V,)"""
    offsets: Longs | None = None
    """(bags + 1,) where each bag starts; None: every bag has one id."""
    owners: Longs | None = None
    """(V,) the bag of each id; with ``offsets``."""
    shares: Floats | None = None
    """(V,) what each row is multiplied by; None: 1."""


class Pooling:
    """The bags of a batch over one table: their sums, and the table's gradient from that of the sums.

    Raises ValueError when an array is of another shape or type than documented, or would have to be copied, and
    IndexError when an id is no row of the table.
    """

    def __init__(self, weight: Floats, bags: Bags, threads: int = 1, version: str | None = None) -> None:
        """``weight`` (rows, D)."""
        version = version or chosen_version()
        assert version is not None, "callers ask whether the kernel is available"
        values = len(bags.ids)
        if values and not 0 <= bags.ids.min() <= bags.ids.max() < len(weight):
            raise IndexError(f"ids from {bags.ids.min()} to {bags.ids.max()}, of a table of {len(weight)} rows")
        self.weight, self.bags = weight, bags
        self._call = TableCall(size=weight.shape[1], values=values, threads=threads, version=VERSIONS.index(version))
        self._call.bags = values if bags.offsets is None else len(bags.offsets) - 1
        self._kept: dict[str, NDArray[Any]] = {}
        self._give(weight=weight, ids=bags.ids, offsets=bags.offsets, owners=bags.owners, shares=bags.shares)
        self._give(scratch=np.empty(threads * weight.shape[1], np.float32))

    def pooled(self) -> Floats:
        """Every bag's sum of rows, (bags, D)."""
        out = np.empty((self._call.bags, self._call.size), np.float32)
        self._give(out=out)
        _native().dagfm_pool(ctypes.addressof(self._call))
        return out

    def scattered(self, grad: Floats) -> Floats:
        """The gradient of the whole table (rows, D) from that of the sums (bags, D)."""
        out = np.zeros(self.weight.shape, np.float32)
        self._give(out=out, grad=grad)
        _native().dagfm_scatter(ctypes.addressof(self._call))
        return out

    def _give(self, **arrays: NDArray[Any] | None) -> None:
        """Tell the kernel where arrays are, and keep them as long as it may look there."""
        for name, array in arrays.items():
            if array is None:
                continue
            kind = _KINDS.get(name, np.float32)
            if array.dtype != kind or not array.flags.c_contiguous:
                raise ValueError(f"{name} is {array.dtype} {array.shape}, expected contiguous {np.dtype(kind)}")
            self._kept[name] = array
            setattr(self._call, name, array.ctypes.data)


class LookUp(Pooling):
    """The rows of one table that a batch looks up, each once, and the work on them; they belong to ``weight``.

    Nothing but these rows, and what goes with them in arrays of the table's length, is read or written. Raises as
    ``Pooling`` does.
    """

    def __init__(self, weight: Floats, bags: Bags, threads: int = 1, version: str | None = None) -> None:
        """``weight`` (rows, D), in place."""
        super().__init__(weight, bags, threads, version)
        values = len(bags.ids)
        rows, starts, places = np.empty(values, np.int64), np.empty(values + 1, np.int32), np.empty(values, np.int32)
        self._give(row=rows, starts=starts, places=places)
        bits = max(4, (2 * values).bit_length())
        slots, groups = np.empty(1 << bits, np.int32), np.empty(values, np.int32)
        count = _native().dagfm_group(ctypes.addressof(self._call), slots.ctypes.data, bits, groups.ctypes.data)
        self._call.rows = count
        self.rows: Longs = rows[:count]
        """(U,) the rows, in the order in which the batch has them."""

    @classmethod
    def of_all(cls, weight: Floats, threads: int = 1) -> LookUp:
        """Of every row, once."""
        return cls(weight, Bags(np.arange(len(weight))), threads)

    def catch_up(self, rule: str, step: int, decay: float, epsilon: float, **arrays: NDArray[Any]) -> None:
        """Make up for what ``step`` steps did to the rows while they were not in them, by one of ``RULES``.

        ``arrays``: those of table_call.h that the rule needs, from ``mean`` to ``mean_run``.
        """
        self._rule(rule, step, decay, epsilon, arrays)
        _native().dagfm_catch_up(ctypes.addressof(self._call))

    def step(self, rule: str, grad: Floats, step: int, decay: float, epsilon: float, **arrays: NDArray[Any]) -> None:
        """Move the rows, which are caught up, in step number ``step`` against the gradient (bags, D) of their sums.

        ``arrays``: as of ``catch_up``, and ``average``, ``averaged`` and ``average_left`` where an average is kept.
        """
        self._give(grad=grad)
        self._rule(rule, step, decay, epsilon, arrays)
        _native().dagfm_step(ctypes.addressof(self._call))

    def _rule(self, rule: str, step: int, decay: float, epsilon: float, arrays: dict[str, NDArray[Any]]) -> None:
        self._call.rule, self._call.step = RULES.index(rule), step
        self._call.decay, self._call.epsilon = decay, epsilon
        self._give(**arrays)


_KINDS: dict[str, type] = {
    "path": np.float64,
    **dict.fromkeys(("ids", "offsets", "owners", "row"), np.int64),
    **dict.fromkeys(("starts", "places", "last", "averaged"), np.int32),
}


def _native() -> ctypes.CDLL:
    native = library()
    assert native is not None
    return native
