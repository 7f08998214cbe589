"""A text file's characters as one stream of UTF-8 bytes, whatever its compression and encoding."""

from __future__ import annotations

import codecs
import gzip
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from dagfm.data.log.formats import compression_of
from dagfm.errors import InputError

_CHUNK = 1 << 20
_MARK = "\ufeff"


class Characters:
    """The stream; positions count its own bytes, the byte order mark left out."""

    def __init__(self, path: Path, encoding: str) -> None:
        self.path = path
        self.encoding = codecs.lookup(encoding).name
        self._file = _opened(path)
        self._utf8 = self.encoding in ("utf-8", "utf-8-sig")
        self._decoder = None if self._utf8 else codecs.getincrementaldecoder(encoding)("strict")
        self._seen = self._lines = 0
        """Bytes of the file, once decompressed, and its line ends, that have been decoded."""
        self._held = b""
        try:
            first = self.read(len(_MARK.encode()))
        except InputError:
            self.close()
            raise
        self.mark = len(first) if first == _MARK.encode() else 0
        """Bytes of the byte order mark."""
        if not self.mark:
            self._held = first + self._held

    def skip(self, position: int) -> None:
        """Go to ``position`` of a stream of which nothing has been read: a plain file jumps, others read up to it."""
        if self._utf8 and compression_of(self.path) is None:
            self._held = b""
            self._file.seek(self.mark + position)
            return
        while position > 0:
            skipped = len(self.read(min(position, _CHUNK)))
            if not skipped:
                return
            position -= skipped

    def read(self, size: int) -> bytes:
        """The next ``size`` bytes, fewer at the end. Raises InputError for a compressed file that is damaged and for
        bytes that are not of the encoding (in UTF-8 the parser finds them)."""
        parts, got = [self._held], len(self._held)
        while got < size:
            part = self._raw(size - got) if self._utf8 else self._decoded()
            if part is None or (self._utf8 and not part):
                break
            parts.append(part)
            got += len(part)
        data = b"".join(parts)
        self._held = data[size:]
        return data[:size] if self._held else data

    def close(self) -> None:
        self._file.close()

    def _raw(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
            raise InputError(f"{self.path}: cannot be read, the file is cut or damaged ({error})") from None

    def _decoded(self) -> bytes | None:
        """The next bytes as UTF-8; None at the end."""
        assert self._decoder is not None
        raw = self._raw(_CHUNK)
        before = self._decoder.getstate()
        try:
            text = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            pending = len(before[0])
            replay = codecs.getincrementaldecoder(self.encoding)("replace")
            replay.setstate(before)
            line = self._lines + replay.decode(raw[: max(0, error.start - pending)]).count("\n") + 1
            place = self._seen - pending + error.start
            raise InputError(not_text(self.path, line, self.encoding, error.reason, place)) from None
        if not raw and not text:
            return None
        if not self._seen:
            text = text.removeprefix(_MARK)
        self._seen += len(raw)
        self._lines += text.count("\n")
        return text.encode()


def not_text(path: Path, line: int, encoding: str, reason: str, place: int) -> str:
    """What is said of bytes that are not of the encoding."""
    return (
        f"{path}: line {line} is not {encoding.upper()} text ({reason} at byte {place} of the file); "
        "if it is text of another kind, set 'encoding' (--encoding)"
    )


def _opened(path: Path) -> BinaryIO:
    match compression_of(path):
        case "gzip":
            return cast(BinaryIO, gzip.open(path, "rb"))
        case "zstd":
            return cast(BinaryIO, pa.CompressedInputStream(pa.OSFile(str(path)), "zstd"))
    return path.open("rb")
