"""Text becomes Parquet once: shard by shard, each a block of the text, with a manifest written last.

A run that is killed goes on at the last shard: each says where in the text it ends.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import BLOCK, Block, Layout, blocks
from dagfm.data.log.characters import Characters
from dagfm.data.log.formats import format_of
from dagfm.data.log.kinds import kind_of
from dagfm.data.log.layouts import layout_of
from dagfm.data.log.parquet import ROW_GROUP, WRITING, ParquetRows
from dagfm.data.log.paths import identity
from dagfm.data.threads import in_order
from dagfm.errors import InputError
from dagfm.files import MANIFEST, fingerprint, read_json, remove_leftovers, replacing, write_json

FORMAT = 1
"""Version of what is written; another one is converted anew."""
_KIND = "dagfm converted text"
_END = b"dagfm.end"
_WORKERS = 2
"""Blocks that are parsed and written side by side; each holds some 200 MB at most."""
_TELL = 5.0

Progress = Callable[[str], None]


def converted(path: Path, options: FileOptions, store: Path, progress: Progress | None = None) -> list[ParquetRows]:
    """The rows of a text file as Parquet below ``store``, written there unless they are.

    Of two processes one writes, the other waits. Raises InputError naming file and line for text that is no table.
    """
    key = fingerprint(
        {
            "format": FORMAT,
            "file": identity(path),
            "options": {**options.files.model_dump(mode="json"), "format": format_of(path, options)},
        }
    )
    folder = store / "converted" / key
    parts = _finished(folder, path)
    if parts is not None:
        return parts
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.parent / f".{key}.lock"):
        parts = _finished(folder, path)
        if parts is None:
            _convert(path, options, folder, progress or (lambda line: None))
            parts = _finished(folder, path)
    assert parts is not None, "a manifest has just been written"
    return parts


def _finished(folder: Path, path: Path) -> list[ParquetRows] | None:
    """The shards of a finished conversion; None where there is none, or where shards are gone or cut.

    Pages carry checksums, so what else may have happened to a shard is found when it is read.
    """
    if not (folder / MANIFEST).is_file():
        return None
    try:
        shards = [_listed(folder, *numbered) for numbered in enumerate(read_json(folder / MANIFEST)["shards"])]
        kinds = {field.name: kind_of(field.type) for field in pq.read_schema(shards[0][0])}
    except (InputError, LookupError, TypeError, OSError, pa.ArrowException):
        shutil.rmtree(folder)
        return None
    return [ParquetRows(file, path, shard["rows"], kinds) for file, shard in shards]


def _listed(folder: Path, number: int, shard: Mapping[str, Any]) -> tuple[Path, Mapping[str, Any]]:
    """A shard and what the manifest says of it. Raises InputError, KeyError, TypeError or OSError where it is not as
    whole as that."""
    name, rows = _name(number), shard["rows"]
    if (shard["name"], type(rows)) != (name, int) or (folder / name).stat().st_size != shard["bytes"]:
        raise InputError(f"{folder / name}: is not the shard that the manifest lists")
    return folder / name, shard


def _name(number: int) -> str:
    return f"{number:05d}.parquet"


def _convert(path: Path, options: FileOptions, folder: Path, progress: Progress) -> None:
    folder.mkdir(exist_ok=True)
    remove_leftovers(folder)
    layout = layout_of(path, options)
    shards = _left_behind(folder)
    position, line = (shards[-1]["end"], shards[-1]["line"]) if shards else (layout.position, layout.line)
    watch = _Watch(path, sum(shard["rows"] for shard in shards), progress)
    with closing(Characters(path, options.encoding)) as characters:
        cut = blocks(characters, layout.cutting, position, line, BLOCK)
        for shard in in_order(partial(_shard, layout, folder), enumerate(cut, len(shards)), ahead=_WORKERS):
            shards.append(shard)
            watch.advance(shard["rows"])
    if not shards:
        shards.append(_written(folder, 0, layout.nothing(), layout.position, layout.line))
    pa.default_memory_pool().release_unused()
    watch.finish()
    write_json(folder / MANIFEST, {"kind": _KIND, "format": FORMAT, "from": str(path), "shards": shards})


def _shard(layout: Layout, folder: Path, numbered: tuple[int, Block]) -> dict[str, Any]:
    """Parse one block and write it."""
    number, block = numbered
    end, line = block.end, block.last_line
    return _written(folder, number, layout.parse(block), end, line)


def _written(folder: Path, number: int, table: pa.Table, end: int, line: int) -> dict[str, Any]:
    """Write a shard, and what a next run has to know of it: where its rows end, and which line comes then."""
    file = folder / _name(number)
    rows = len(table)
    table = table.replace_schema_metadata({_END: json.dumps({"end": end, "line": line}).encode()})
    with replacing(file) as temporary:
        pq.write_table(table, temporary, row_group_size=ROW_GROUP, **WRITING)
        del table
    return {"name": file.name, "rows": rows, "bytes": file.stat().st_size, "end": end, "line": line}


def _left_behind(folder: Path) -> list[dict[str, Any]]:
    """The shards that a killed run has finished, without a gap; what lies after a gap is removed."""
    shards: list[dict[str, Any]] = []
    for file in sorted(folder.glob("*.parquet")):
        try:
            metadata = pq.read_metadata(file)
            end = json.loads((metadata.metadata or {})[_END])
        except (pa.ArrowException, OSError, KeyError, ValueError):
            end = None
        if end is None or file.name != _name(len(shards)):
            file.unlink()
            continue
        shards.append({"name": file.name, "rows": metadata.num_rows, "bytes": file.stat().st_size, **end})
    return shards


class _Watch:
    """Tells now and then how far a conversion is; nothing where it is over in a moment."""

    def __init__(self, path: Path, rows: int, progress: Progress) -> None:
        self.path, self.before, self.rows, self.progress = path, rows, rows, progress
        self.began = self.told = time.monotonic()
        if rows:
            progress(f"converting {path} to Parquet goes on from row {rows + 1:,}")

    def advance(self, rows: int) -> None:
        self.rows += rows
        if time.monotonic() - self.told >= _TELL:
            self.told = time.monotonic()
            self.progress(f"converting {self.path} to Parquet: {self._so_far()}")

    def finish(self) -> None:
        if self.told != self.began:
            self.progress(f"converted {self.path}: {self._so_far()}")

    def _so_far(self) -> str:
        speed = (self.rows - self.before) / max(time.monotonic() - self.began, 1e-9)
        return f"{self.rows:,} rows, {speed:,.0f} rows/s"
