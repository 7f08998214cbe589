"""The first rows of text files, parsed without converting the rest."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pyarrow as pa

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import blocks
from dagfm.data.log.characters import Characters
from dagfm.data.log.layouts import layout_of
from dagfm.errors import InputError

_BLOCK = 1 << 22


def first_rows(paths: Sequence[Path], options: FileOptions, rows: int) -> tuple[pa.Table, bool]:
    """At most ``rows`` rows of text files, cells as text, and whether those are all. Raises InputError as conversion
    does, for what is wrong up to there."""
    parts: list[pa.Table] = []
    count = 0
    for table in _tables(paths, options):
        parts.append(table)
        count += len(table)
        if count > rows:
            break
    if not count:
        raise InputError(f"{paths[0]}: the table has no rows")
    return pa.concat_tables(table.select(parts[0].column_names) for table in parts).slice(0, rows), count <= rows


def _tables(paths: Sequence[Path], options: FileOptions) -> Iterator[pa.Table]:
    for path in paths:
        layout = layout_of(path, options)
        with closing(Characters(path, options.encoding)) as characters:
            for block in blocks(characters, layout.cutting, layout.position, layout.line, _BLOCK):
                yield layout.parse(block)
