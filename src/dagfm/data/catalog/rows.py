"""How many rows a file has, counted without parsing it, and whether its last line is whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from dagfm.data.catalog.entry import Layout
from dagfm.data.catalog.sample import is_zstd, magic, opened, zstd_lines
from dagfm.errors import InputError

Advance = Callable[[int], None]
"""Told how many bytes of the file, as it lies on the disk, have been read."""
_CHUNK = 1 << 24
_TAIL = 1 << 16


def count_rows(path: Path, layout: Layout, advance: Advance) -> int:
    """Rows of the file, in one pass. Raises InputError for a damaged file, or one whose last line was cut."""
    if magic(path) == b"PAR1":
        return int(pl.scan_parquet(path, glob=False).select(pl.len()).collect().item())
    if is_zstd(path):
        lines = zstd_lines(path).filter(pl.col("line") != "").select(pl.len()).collect(engine="streaming").item()
        return int(lines) - layout.header
    count, tail, told = 0, b"", 0
    with path.open("rb") as raw, opened(path) as file:
        plain = not magic(path).startswith(b"\x1f\x8b")
        while chunk := file.read(_CHUNK):
            count += chunk.count(b"\n")
            tail = (tail + chunk[-_TAIL:])[-_TAIL:]
            # Of a packed file the position is not known cheaply: its bytes are told at the end.
            if plain:
                advance(len(chunk))
                told += len(chunk)
        advance(raw.seek(0, 2) - told)
    body = tail.rstrip(b"\r\n")
    count += 1 - tail[len(body) :].count(b"\n")  # empty lines at the end are no rows
    last = body.splitlines()[-1].decode(layout.encoding, "replace")
    cells = last.count(layout.separator) + 1
    if '"' not in last and layout.header is False and cells != len(layout.columns):
        raise InputError(
            f"{path}: the last line has {cells} columns, expected {len(layout.columns)}: the copy was cut short; "
            "get the file again"
        )
    return count - layout.header
