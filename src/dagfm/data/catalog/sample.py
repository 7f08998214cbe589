"""The beginning of a file, whatever it is packed in: enough to tell what it is."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import polars as pl

from dagfm.data.catalog.entry import Layout
from dagfm.errors import InputError

LINES = 200
"""Lines, or rows, that a sample has at most."""
_BYTES = 1 << 20
_ZSTD = b"\x28\xb5\x2f\xfd"
_ARCHIVES = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf\x27\x1c": "a 7z archive", b"BZh": "packed with bzip2"}


@dataclass(frozen=True)
class Sample:
    """The first lines of a text file, or the column names and first rows of a Parquet file."""

    path: Path
    lines: tuple[bytes, ...] = ()
    table: pl.DataFrame | None = None

    def rows(self, layout: Layout) -> list[list[str]]:
        """The cells of the first lines, cut as ``layout`` says; the header, where it has one, is the first row."""
        if self.table is not None:
            return [self.table.columns, *([_text(value) for value in row] for row in self.table.rows())]
        texts = [line.decode(layout.encoding, "replace") for line in self.lines]
        if texts and layout.encoding == "utf-8":
            texts[0] = texts[0].removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}")
        if layout.separator == "," and any('"' in text for text in texts):
            return list(csv.reader(texts))
        return [text.split(layout.separator) for text in texts]

    def has_header(self, layout: Layout) -> bool:
        """Whether ``rows`` opens with names: a Parquet file always has them."""
        return layout.header or self.table is not None


def sample(path: Path) -> Sample:
    """The beginning of ``path``. Raises InputError where it is missing, empty, damaged or still in an archive."""
    kind = magic(path)
    if kind == b"PAR1":
        try:
            return Sample(path, table=pl.scan_parquet(path, glob=False).head(LINES).collect())
        except (pl.exceptions.PolarsError, OSError) as error:
            raise InputError(f"{path}: not a Parquet file, or a damaged one ({_first_line(error)})") from None
    if kind.startswith(_ZSTD):
        return Sample(path, lines=tuple(_of_zstd(path)))
    with opened(path) as file:
        data = file.read(_BYTES)
    if data[257:262] == b"ustar":
        raise InputError(f"{path}: a tar archive; unpack it (tar xf {path.name}) and give the file in it")
    lines = data.splitlines()
    if len(data) == _BYTES and len(lines) > 1:
        lines.pop()  # cut by us
    return Sample(path, lines=tuple(lines[:LINES]))


def magic(path: Path) -> bytes:
    """The first four bytes of a file. Raises InputError where there is no file, nothing in it, or an archive."""
    if path.is_dir():
        raise InputError(f"{path}: a folder, expected a file, or a glob such as {path / '*.parquet'}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    with path.open("rb") as file:
        first = file.read(6)
    if not first:
        raise InputError(f"{path}: the file is empty, expected rows")
    for start, words in _ARCHIVES.items():
        if first.startswith(start):
            raise InputError(f"{path}: {words}; unpack it and give the file in it (gzip and zstd need not be unpacked)")
    return first[:4]


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """A text file's bytes, unpacked where it is gzip. Raises InputError where the packed data are damaged or cut."""
    packed = magic(path).startswith(b"\x1f\x8b")
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            yield cast("IO[bytes]", file)
    except (EOFError, gzip.BadGzipFile) as error:
        raise InputError(f"{path}: the gzip file is damaged or cut short ({error}); get it again") from None


def is_zstd(path: Path) -> bool:
    """Whether the file is packed by zstd, which Python 3.11 cannot unpack."""
    return magic(path).startswith(_ZSTD)


def zstd_lines(path: Path) -> pl.LazyFrame:
    """The lines of a file packed by zstd, as one column of text."""
    return pl.scan_csv(
        path,
        has_header=False,
        separator="\x1f",
        quote_char=None,
        infer_schema=False,
        new_columns=["line"],
        truncate_ragged_lines=True,
        encoding="utf8-lossy",
        glob=False,
    )


def _of_zstd(path: Path) -> list[bytes]:
    try:
        return [str(line).encode() for line in zstd_lines(path).head(LINES).collect()["line"]]
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: the zstd file is damaged or cut short ({_first_line(error)})") from None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]
