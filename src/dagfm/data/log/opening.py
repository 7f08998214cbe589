"""From paths to a click log: files found, text converted, columns compared, side tables opened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.log.convert import converted
from dagfm.data.log.formats import format_of, suffix_says
from dagfm.data.log.kinds import told_kind, unified
from dagfm.data.log.log import File, Log
from dagfm.data.log.parquet import ParquetRows
from dagfm.data.log.paths import Place, expand, identity, told
from dagfm.errors import InputError, listed

Progress = Callable[[str], None]
NO_TABLES: Mapping[str, TableConfig] = MappingProxyType({})


def open_log(
    paths: Sequence[str],
    options: FileOptions,
    tables: Mapping[str, TableConfig],
    store: Path,
    progress: Progress | None = None,
    empty: bool = False,
) -> Log:
    """The rows of ``paths`` with the side tables ``tables`` by key column; no rows, where they may be ``empty``.

    Text is converted to Parquet once, below ``store``; ``progress`` is told how far that is. Raises InputError naming
    the file, and the line where there is one, for everything that is wrong with the files.
    """
    files = [_open(place, options, store, progress) for place in expand(paths)]
    kinds = _shared_kinds(files)
    origin = told(paths)
    # Spark writes a part for every task, some of which had no rows.
    files = [file for file in files if file.rows]
    if not files and not empty:
        raise InputError(f"{origin}: the table has no rows; its columns: {listed(kinds)}")
    sides: dict[str, Log] = {}
    for key, table in tables.items():
        side = open_log((table.path,), _table_options(table, options), NO_TABLES, store, progress)
        for place, there in ((origin, kinds), (table.path, side.types)):
            if key not in there:
                raise InputError(
                    f"{place}: key column '{key}' of table {table.path} is missing; columns: {listed(there)}"
                )
        sides[key] = side
    return Log(origin, files, kinds, sides, identities(paths, tables))


def identities(paths: Iterable[str], tables: Mapping[str, TableConfig] = NO_TABLES) -> list[dict[str, Any]]:
    """What tells the files of a log, side tables' too, from other or changed ones; nothing is read or converted.

    Raises InputError for a file that is not there.
    """
    return [identity(place.path) for place in expand([*paths, *(table.path for table in tables.values())])]


def _open(place: Place, options: FileOptions, store: Path, progress: Progress | None) -> File:
    path = place.path
    if not path.is_file():
        raise InputError(f"{path}: no such file" if not path.exists() else f"{path}: not a file")
    format = format_of(path, options)
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty, expected rows")
    parts = [ParquetRows.open(path)] if format == "parquet" else converted(path, options, store, progress)
    # Some writers keep in the file what the folder's name says; the file's value has its type.
    partition = {name: value for name, value in place.partition.items() if name not in parts[0].kinds}
    return File(path, tuple(parts), partition)


def _shared_kinds(files: Sequence[File]) -> dict[str, pa.DataType]:
    """The kind of every column over all files. Raises InputError where the files' columns differ."""
    first = files[0]
    shared = dict(first.kinds)
    for file in files[1:]:
        kinds = file.kinds
        if set(kinds) != set(shared):
            raise InputError(
                f"{file.path}: columns differ from those of {first.path}: {listed(kinds)}; expected {listed(shared)}"
            )
        for name, kind in kinds.items():
            both = unified(shared[name], kind)
            if both is None:
                raise InputError(
                    f"{file.path}: column '{name}' is {told_kind(kind)}, but {told_kind(shared[name])} in {first.path}"
                )
            shared[name] = both
    return shared


def _table_options(table: TableConfig, options: FileOptions) -> FileOptions:
    """How a side table is read: as it says, else as its suffix says, else as the log is."""
    given = table.model_fields_set & set(FileOptions.model_fields)
    if given or suffix_says(Path(table.path)):
        return table.files
    return options.model_copy(update={"columns": None})
