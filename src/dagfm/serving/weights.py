"""A bundle's arrays on disk: safetensors whose data starts at a cache line, mapped rather than read."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from dagfm.errors import InputError

_LINE = 64
"""Bytes of a cache line: a row of 16 numbers that starts with one is read at once."""

_TYPES = {
    "F64": np.float64, "F32": np.float32, "F16": np.float16, "I64": np.int64, "I32": np.int32, "I16": np.int16,
    "I8": np.int8, "U64": np.uint64, "U32": np.uint32, "U16": np.uint16, "U8": np.uint8, "BOOL": np.bool_,
}  # fmt: skip


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """The file of these arrays, its header filled up with spaces, as the format allows."""
    data = save(dict(arrays))
    (size,) = struct.unpack("<Q", data[:8])
    spaces = -(8 + size) % _LINE
    return b"".join((struct.pack("<Q", size + spaces), data[8 : 8 + size], b" " * spaces, data[8 + size :]))


@dataclass(frozen=True)
class Placed:
    """Where an array lies in the data of a safetensors file."""

    name: str
    kind: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int

    def of(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        """The array, a view of the file's ``data``."""
        # The format allows any length of its header, the kernel only numbers that lie where numbers may.
        return np.require(data[self.start : self.end].view(self.kind).reshape(self.shape), requirements="A")


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file, read-only, read from disk as they are used.

    Raises InputError naming the file where it is none, or is cut off.
    """
    try:
        memory = np.asarray(np.memmap(path, np.uint8, "r"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); the bundle is damaged") from None
    arrays, beginning = placed(memory, path)
    data = memory[beginning:]
    if arrays and arrays[-1].end > len(data):
        raise InputError(f"{path}: not a safetensors file (it is cut off); the bundle is damaged")
    try:
        return {one.name: one.of(data) for one in arrays}
    except (ValueError, OverflowError) as error:  # of no numbers in very many dimensions, say
        raise InputError(f"{path}: not a safetensors file ({error}); the bundle is damaged") from None


def placed(memory: NDArray[np.uint8], path: Path) -> tuple[list[Placed], int]:
    """The arrays of a safetensors file in the order of their bytes, and how many bytes come before them.

    ``memory``: the file, or no more than its beginning. Raises InputError naming ``path`` where it is none.
    """
    try:
        (size,) = struct.unpack("<Q", memory[:8].tobytes())
        header = json.loads(memory[8 : 8 + size].tobytes())
        arrays = [_placed(name, part) for name, part in header.items() if name != "__metadata__"]
        arrays.sort(key=lambda one: (one.start, one.end))
        end = 0
        for one in arrays:
            if one.start != end:  # as the format demands
                raise ValueError(f"'{one.name}' starts at byte {one.start}, expected {end}")
            end = one.end
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, struct.error) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); the bundle is damaged") from None
    return arrays, 8 + size


def _placed(name: str, part: Mapping[str, Any]) -> Placed:
    kind, shape, (start, end) = np.dtype(_TYPES[part["dtype"]]), tuple(part["shape"]), part["data_offsets"]
    if any(type(one) is not int or one < 0 for one in (*shape, start, end)):
        raise ValueError(f"'{name}' is of shape {shape} and from {start} to {end}")
    if end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"bytes {start} to {end} are no {kind} {shape}")
    return Placed(name, kind, shape, start, end)
