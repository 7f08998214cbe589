"""The difference of two arrays, a part at a time: which rows changed, and how their bits did."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.correspondence import NOWHERE, older_rows
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64
from dagfm.errors import InputError
from dagfm.serving.patches.container import PART

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Base:
    """The rows that an array is told as a difference from."""

    rows: Bytes
    """(n, bytes of a row)"""
    older: Int64 | None = None
    """(rows of the newer array,) which of ``rows`` each comes from, or ``NOWHERE``; None where it is the same row."""

    def part(self, start: int, stop: int) -> Bytes:
        """What rows ``start`` to ``stop`` of the newer array come from, (stop - start, bytes); zeros from nowhere."""
        if self.older is not None:
            places = self.older[start:stop]
            found = self.rows[np.maximum(places, 0)] if len(self.rows) else self._zeros(stop - start)
            found[places == NOWHERE] = 0
            return found
        found = self._zeros(stop - start)
        known = self.rows[start:stop]
        found[: len(known)] = known
        return found

    def _zeros(self, count: int) -> Bytes:
        return np.zeros((count, self.rows.shape[1]), np.uint8)


def table_rows(old: Encoder, new: Encoder) -> Int64:
    """(rows of ``new``'s embedding table,) the row of ``old``'s that means the same, or ``NOWHERE``."""
    found = np.full(new.spans.total, NOWHERE, np.int64)
    for node in new.spans.own:
        field = new.schema.fields[node]
        if not all(name in old.schema.names for name in (field.name, *(field.cross or ()))):
            continue
        if any(old.schema.named(name) != new.schema.named(name) for name in (field.name, *(field.cross or ()))):
            continue
        rows = older_rows(old, new, field.name)
        start = old.spans.starts[old.schema.names.index(field.name)]
        found[new.spans.slice_of(node)] = np.where(rows == NOWHERE, NOWHERE, start + rows)
    return found


def differences(base: Base, rows: Bytes, item: int) -> Iterator[bytes]:
    """The parts that ``patched`` makes ``rows`` (n, bytes of a row) from, given ``base``; numbers have ``item`` bytes.

    A part is a bit a row, and of the rows that differ their bits exclusive-or the base's, first bytes of all numbers
    first: sign, exponent and leading digits, which change least, are together and compress.
    """
    for start, stop in _steps(len(rows), rows.shape[1]):
        before, after = base.part(start, stop), rows[start:stop]
        changed = (before != after).any(axis=1)
        flips = (before[changed] ^ after[changed]).reshape(-1, item)
        yield np.packbits(changed).tobytes() + flips.T.tobytes()


def patched(base: Base, count: int, item: int, take: Callable[[], bytes], name: Path) -> Iterator[Bytes]:
    """The ``count`` rows that ``differences`` made the parts of that ``take`` gives, some at a time.

    Raises InputError naming ``name`` for parts of other rows.
    """
    width = base.rows.shape[1]
    for start, stop in _steps(count, width):
        part = np.frombuffer(take(), np.uint8)
        bits = -(-(stop - start) // 8)
        changed = np.unpackbits(part[:bits])[: stop - start].astype(bool)
        flips = part[bits:]
        if len(changed) != stop - start or len(flips) != int(changed.sum()) * width:
            raise InputError(f"{name}: it changes other rows than there are; the patch is damaged")
        after = base.part(start, stop)
        after[changed] ^= flips.reshape(item, -1).T.reshape(-1, width)
        yield after


def _steps(count: int, width: int) -> list[tuple[int, int]]:
    step = max(8, PART // width // 8 * 8)
    return [(start, min(start + step, count)) for start in range(0, count, step)]
