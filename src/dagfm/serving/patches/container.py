"""The file that a patch is: compressed parts, what they are for, and a checksum of it all at the end."""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path
from typing import BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from dagfm.errors import InputError

PART = 1 << 22
"""Bytes that writers put into a part: what is in memory at a time."""
_MOST = 1 << 26
"""No part is larger; a damaged or hostile length asks for no more memory than this."""
_MAGIC = b"dagfm patch\x00"
_SIZES = struct.Struct("<II")
_END = struct.Struct("<Q32s")
_LEVEL = 6
"""Of zlib, which every Python has; zstd's level 9 makes patches that are no smaller."""


Way = Literal["same", "whole", "arrays", "vocabulary", "index"]
"""How a file is told: as in the base; by its bytes; as a difference; or made anew from the vocabulary beside it."""


class Contents(BaseModel):
    """What a patch is for, and what its parts tell."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    base: str
    """SHA-256 of the manifest of the bundle that it is for."""
    result: str
    """SHA-256 of the manifest of the bundle that it leads to; the first parts are this manifest."""
    files: dict[str, Way]
    """How each file is told, in the order of the parts."""
    dagfm: str
    polars: str
    """The versions it was made with."""


class PatchWriter:
    """Writes ``file`` from its beginning: parts first, ``finish`` at the end."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash = file, hashlib.sha256()
        self._write(_MAGIC)

    def part(self, data: bytes) -> None:
        """Append up to ``PART`` bytes and some more, compressed."""
        assert len(data) <= _MOST, f"a part of {len(data)} bytes"
        packed = zlib.compress(data, _LEVEL)
        self._write(_SIZES.pack(len(data), len(packed)))
        self._write(packed)

    def finish(self, contents: Contents) -> None:
        """End with what the parts are for."""
        text = contents.model_dump_json().encode()
        self._write(text)
        self._write(struct.pack("<Q", len(text)))
        self._file.write(self._hash.digest())

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)


class PatchReader:
    """An open patch, whose checksum was right."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        """Raises InputError naming ``path`` where the file is no patch, is damaged, or was cut off."""
        self._file, self._path = file, path
        if file.read(len(_MAGIC)) != _MAGIC:
            raise InputError(f"{path}: not a patch")
        size = file.seek(0, 2)
        length = self._checked(size)
        self._parts_end = size - _END.size - length
        file.seek(self._parts_end)
        try:
            self.contents = Contents.model_validate_json(file.read(length))
        except ValidationError as error:
            raise InputError(f"{path}: not a patch that this dagfm knows ({error}); upgrade dagfm") from None
        file.seek(len(_MAGIC))

    def _checked(self, size: int) -> int:
        """Length of the contents' text, once the checksum is right."""
        if size < len(_MAGIC) + _END.size:
            raise InputError(f"{self._path}: {size} bytes are no patch; the file is cut off")
        self._file.seek(0)
        found, left = hashlib.sha256(), size - 32
        while left:
            block = self._file.read(min(left, PART))
            found.update(block)
            left -= len(block)
        self._file.seek(size - _END.size)
        length, checksum = _END.unpack(self._file.read(_END.size))
        if checksum != found.digest() or length > size - _END.size - len(_MAGIC):
            raise InputError(f"{self._path}: its checksum is wrong; the patch is damaged or cut off")
        return int(length)

    def part(self) -> bytes:
        """The next part. Raises InputError past the last."""
        head = self._file.read(_SIZES.size)
        if len(head) < _SIZES.size or self._file.tell() > self._parts_end:
            raise InputError(f"{self._path}: fewer parts than it speaks of; the patch is damaged")
        size, packed = _SIZES.unpack(head)
        if size > _MOST or packed > self._parts_end - self._file.tell():
            raise InputError(f"{self._path}: a part of {size} bytes; the patch is damaged")
        stream = zlib.decompressobj()
        try:
            data = stream.decompress(self._file.read(packed), size + 1)
        except zlib.error as error:
            raise InputError(f"{self._path}: {error}; the patch is damaged") from None
        if len(data) != size or not stream.eof:
            raise InputError(f"{self._path}: a part is not of the {size} bytes that it speaks of; the patch is damaged")
        return data
