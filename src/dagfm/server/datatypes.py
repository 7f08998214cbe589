"""The tensors of the Open Inference Protocol v2 as columns: numbers as arrays, BYTES as lists of text."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dagfm.kernel.encoding import MANY
from dagfm.kernel.texts import cut
from dagfm.server.answers import RefusedError

NUMBERS: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype("?"),
    **{f"UINT{8 * size}": np.dtype(f"<u{size}") for size in (1, 2, 4, 8)},
    **{f"INT{8 * size}": np.dtype(f"<i{size}") for size in (1, 2, 4, 8)},
    **{f"FP{8 * size}": np.dtype(f"<f{size}") for size in (2, 4, 8)},
}
DATATYPES = (*NUMBERS, "BYTES")

Elements = NDArray[Any] | list[str]
"""The elements of a tensor in row-major order."""

_LENGTH = struct.Struct("<I")
_FLAT: dict[str, msgspec.json.Decoder[list[Any]]] = {
    "b": msgspec.json.Decoder(list[bool]),
    "i": msgspec.json.Decoder(list[int]),
    "u": msgspec.json.Decoder(list[int]),
    "f": msgspec.json.Decoder(list[float]),
    "O": msgspec.json.Decoder(list[str]),
}
_NESTED: dict[str, msgspec.json.Decoder[list[list[Any]]]] = {
    "b": msgspec.json.Decoder(list[list[bool]]),
    "i": msgspec.json.Decoder(list[list[int]]),
    "u": msgspec.json.Decoder(list[list[int]]),
    "f": msgspec.json.Decoder(list[list[float]]),
    "O": msgspec.json.Decoder(list[list[str]]),
}


def from_bytes(data: memoryview, datatype: str, count: int, name: str) -> Elements:
    """The ``count`` elements of a binary tensor. Raises RefusedError (400) where the bytes hold something else."""
    if datatype == "BYTES":
        return _texts(data, count, name)
    kind = NUMBERS[datatype]
    if len(data) != count * kind.itemsize:
        raise RefusedError(400, f"input '{name}': {len(data)} bytes, expected {count} x {kind.itemsize} of {datatype}")
    if kind.kind == "b":
        return np.frombuffer(data, np.uint8).astype(np.bool_)  # a byte that is neither 0 nor 1 is no bool to NumPy
    numbers: NDArray[Any] = np.frombuffer(data, kind)
    return numbers


def from_json(data: bytes, datatype: str, count: int, name: str) -> Elements:
    """The ``count`` elements of a JSON tensor, flat or nested. Raises RefusedError (400) for anything else."""
    kind = "O" if datatype == "BYTES" else NUMBERS[datatype].kind
    try:
        try:
            found = _FLAT[kind].decode(data)
        except msgspec.ValidationError:
            try:
                found = [value for row in _NESTED[kind].decode(data) for value in row]
            except msgspec.ValidationError:
                found = _FLAT[kind].decode(data)  # its complaint is of what most clients send
        column: Elements = found if kind == "O" else np.array(found, NUMBERS[datatype])
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError) as error:
        raise RefusedError(400, f"input '{name}': its data is not {datatype}: {error}") from None
    if len(column) != count:
        raise RefusedError(400, f"input '{name}': data holds {len(column)} elements, its shape says {count}")
    return column


def _texts(data: memoryview | bytes, count: int, name: str) -> list[str]:
    """Each element is its length, uint32 little-endian, and so many bytes of UTF-8."""
    data = bytes(data)
    if count <= MANY and (quickly := cut(data, count)) is not None:
        return quickly
    ascii_alone = data.isascii()
    # Of ASCII alone, text is cut at once instead of decoding every piece: half the time.
    whole = str(data, "ascii") if ascii_alone else data
    read, position = _LENGTH.unpack_from, 0
    found: list[str] = []
    try:
        for _ in range(count):
            start = position + 4
            position = start + read(data, position)[0]
            piece = whole[start:position]
            found.append(piece if ascii_alone else str(piece, "utf-8"))  # type: ignore[arg-type]
    except struct.error:
        raise RefusedError(400, f"input '{name}': its bytes end after {len(found)} of {count} elements") from None
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"input '{name}': element {len(found)} is not UTF-8 ({error.reason})") from None
    if position != len(data):
        raise RefusedError(
            400, f"input '{name}': its {count} elements take {position} bytes, binary_data_size is {len(data)}"
        )
    return found
