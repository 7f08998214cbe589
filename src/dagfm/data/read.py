"""From paths and globs to one lazy table, whatever the format."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Set
from pathlib import Path

import polars as pl

from dagfm.data.formats import scan_file
from dagfm.errors import InputError, listed


def expand(paths: Iterable[str]) -> list[Path]:
    """The files that paths and globs name: the paths' order, sorted within a glob. Raises InputError for no match."""
    found: list[Path] = []
    for path in paths:
        if Path(path).exists() or not glob.has_magic(path):
            found.append(Path(path))
            continue
        matches = sorted(map(Path, glob.glob(path, recursive=True)))  # noqa: PTH207 - Path.glob takes no absolute patterns
        files = [match for match in matches if match.is_file()]
        if not files:
            raise InputError(f"{path}: no file matches")
        found += files
    return found


def scan(paths: tuple[str, ...], format: str | None = None, text: Set[str] = frozenset()) -> pl.LazyFrame:
    """All rows of all files, in order, as one lazy table.

    ``text`` names columns that stay text in text formats. Raises InputError naming the file when one is missing, of an
    unknown format, empty, or has other columns than the first.
    """
    files = expand(paths)
    frames = [scan_file(file, format, text) for file in files]
    schemas = [frame.collect_schema() for frame in frames]
    for file, schema in zip(files[1:], schemas[1:], strict=True):
        if set(schema) != set(schemas[0]):
            raise InputError(
                f"{file}: columns differ from those of {files[0]}: {listed(schema)}; expected {listed(schemas[0])}"
            )
        for name, kind in schema.items():
            if not _alike(kind, schemas[0][name]):
                raise InputError(f"{file}: column '{name}' is {kind}, but {schemas[0][name]} in {files[0]}")
    if len(frames) == 1:
        return frames[0]
    return pl.concat([frame.select(schemas[0].names()) for frame in frames], how="vertical_relaxed")


def collect(frame: pl.LazyFrame, origin: str) -> pl.DataFrame:
    """Read the rows. Raises InputError naming ``origin`` for what only reading finds: bytes that are no UTF-8, a cut
    file, a cell that does not fit the type its column seemed to have."""
    try:
        return frame.collect()
    except (pl.exceptions.PolarsError, OSError) as error:
        reason = str(error).strip().split("\n")[0]
        raise InputError(f"{origin}: cannot be read: {reason}") from None


def told(paths: tuple[str, ...]) -> str:
    """How messages call these files."""
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


def locate(paths: tuple[str, ...], format: str | None, row: int) -> str:
    """The file and the row within it, from 1, of a row of ``scan``'s table, from 0."""
    files = expand(paths)
    for file in files:
        height = scan_file(file, format, frozenset()).select(pl.len()).collect().item()
        if row < height:
            return f"{file}: row {row + 1}"
        row -= height
    return f"{told(paths)}: row {row + 1}"


def _alike(one: pl.DataType, other: pl.DataType) -> bool:
    """Whether two files' columns mean the same: equal types, numbers of another width, or nothing but nulls."""
    integers = one.is_integer() and other.is_integer()
    floats = one.is_float() and other.is_float()
    return one == other or integers or floats or pl.Null in (one, other)
