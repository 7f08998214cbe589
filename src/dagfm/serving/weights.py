"""A bundle's arrays on disk: safetensors whose data starts at a cache line, mapped rather than read."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
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


def mapped(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a safetensors file, read-only, read from disk as they are used.

    Raises InputError naming the file where it is none, or is cut off.
    """
    try:
        memory = np.asarray(np.memmap(path, np.uint8, "r"))
        (size,) = struct.unpack("<Q", memory[:8].tobytes())
        header = json.loads(memory[8 : 8 + size].tobytes())
        data = memory[8 + size :]
        return {name: _array(data, part) for name, part in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise InputError(f"{path}: not a safetensors file ({error}); the bundle is damaged") from None


def _array(data: NDArray[np.uint8], part: Mapping[str, Any]) -> NDArray[Any]:
    kind, shape, (start, end) = np.dtype(_TYPES[part["dtype"]]), tuple(part["shape"]), part["data_offsets"]
    if not 0 <= start <= end <= len(data) or end - start != math.prod(shape) * kind.itemsize:
        raise ValueError(f"bytes {start} to {end} are no {kind} {shape}")
    return data[start:end].view(kind).reshape(shape)
