"""A bundle's weights as the difference from another's: rows of the table by what they mean, the rest in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Int64
from dagfm.errors import InputError
from dagfm.serving.patches.differences import Base, differences, patched
from dagfm.serving.weights import Placed, mapped, placed

_TABLE = "embedding."
"""How arrays are called that have a row for each row of the embedding table."""

Bytes = NDArray[np.uint8]


def array_parts(old: Path, new: Path, older: Int64) -> Iterator[bytes]:
    """The parts that ``patched_arrays`` makes the file ``new`` from, given the file ``old``.

    ``older`` (table rows of ``new``,): the row of the older table that means the same.
    """
    memory = np.asarray(np.memmap(new, np.uint8, "r"))
    arrays, beginning = placed(memory, new)
    yield memory[:beginning].tobytes()
    data, before = memory[beginning:], mapped(old)
    for one in arrays:
        base, count = _base(one, before, older)
        rows = data[one.start : one.end].reshape(count, -1) if count else np.zeros((0, base.rows.shape[1]), np.uint8)
        yield from differences(base, rows, one.kind.itemsize)


def patched_arrays(old: Path, take: Callable[[], bytes], older: Int64, name: Path, size: int) -> Iterator[bytes]:
    """The ``size`` bytes of the file that the parts which ``take`` gives were made of, in order.

    Raises InputError, where it is about the parts naming ``name``, when these are of other files.
    """
    head = take()
    arrays, beginning = placed(np.frombuffer(head, np.uint8), name)
    if beginning + (arrays[-1].end if arrays else 0) != size:
        raise InputError(f"{name}: speaks of arrays that are no file of {size} bytes; the patch is damaged")
    yield head
    before = mapped(old)
    for one in arrays:
        base, count = _base(one, before, older)
        for rows in patched(base, count, one.kind.itemsize, take, name):
            yield rows.tobytes()


def _base(one: Placed, before: Mapping[str, NDArray[Any]], older: Int64) -> tuple[Base, int]:
    """What an array is told as a difference from, and how many rows it has then."""
    found = before.get(one.name)
    if found is not None and found.dtype != one.kind:
        found = None
    table = one.name.startswith(_TABLE) and one.shape[:1] == older.shape
    if not table:  # a number is a row
        width = one.kind.itemsize
        flat = np.zeros((0, width), np.uint8) if found is None else _rows(found, found.size, width)
        return Base(flat), (one.end - one.start) // width
    count = len(older)
    width = (one.end - one.start) // count
    if found is None or found.shape[1:] != one.shape[1:] or int(older.max(initial=-1)) >= len(found):
        return Base(np.zeros((0, width), np.uint8)), count
    return Base(_rows(found, len(found), width), older), count


def _rows(array: NDArray[Any], count: int, width: int) -> Bytes:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(count, width)
