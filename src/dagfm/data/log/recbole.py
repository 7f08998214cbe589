"""RecBole atomic files: ``name:type`` headers, tabs, no quoting, sequences as text cut at spaces."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import Block, Layout
from dagfm.data.log.separated import parsed, separated
from dagfm.errors import InputError, listed
from dagfm.schema import FieldType


def recbole_layout(path: Path, options: FileOptions) -> Layout:
    """The layout of an atomic file. Raises InputError for a header without types, and as other text does."""
    plain = separated(path, options.model_copy(update={"columns": None}), "\t", None)
    types = _types(path, plain.names)
    names = list(types)
    if len(names) < len(plain.names):
        raise InputError(f"{path}: a column name occurs twice in {listed(plain.names)}")
    lists = frozenset(name for name, kind in types.items() if kind.endswith("_seq"))

    def parse(block: Block) -> pa.Table:
        cells = parsed(block, names, plain.cutting, f"the header has {len(names)} columns")
        return pa.table([pc.split_pattern(cells[name], " ") if name in lists else cells[name] for name in names], names)

    return Layout(tuple(names), plain.cutting, plain.position, plain.line, parse, lists)


def atomic_types(path: Path, options: FileOptions) -> dict[str, FieldType]:
    """The types of an atomic file's columns by name. Raises InputError for a header that is not ``name:type``."""
    return _types(path, separated(path, options, "\t", None).names)


def _types(path: Path, headers: tuple[str, ...]) -> dict[str, FieldType]:
    types: dict[str, FieldType] = {}
    for header in headers:
        name, _, kind = header.rpartition(":")
        match kind:
            case "token" | "token_seq" | "float" | "float_seq" if name:
                types[name] = kind
            case _:
                raise InputError(
                    f"{path}: header '{header}', expected name:type with token, token_seq, float or float_seq"
                )
    return types
