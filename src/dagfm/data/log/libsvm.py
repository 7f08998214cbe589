"""libsvm (``label index:value ...``) and libffm (``label field:index:value ...``) as columns.

What the columns are must not depend on the rows: a test file has others. So libsvm is a label and one list of the
indices, and only the indices that ``columns`` names become columns of numbers; libffm is a label and, for each field,
its index as a token and its value as a number.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import polars as pl
import pyarrow as pa

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import Block, Cutting, Layout, blocks
from dagfm.data.log.characters import Characters
from dagfm.data.log.kinds import TEXT
from dagfm.data.log.separated import check_utf8
from dagfm.errors import InputError

_CUTTING = Cutting(b" ", None)
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_LISTS = pa.list_(TEXT)
_FIRST = 1 << 22


def libsvm_layout(path: Path, options: FileOptions) -> Layout:
    """``label`` and ``features``, the indices whose value is not 0; with ``columns: [f1, f7]`` instead the values of
    those indices, 0 where one is not there. Raises InputError for other names."""
    wanted = {name: _number(path, name, "index") for name in options.columns or ()}

    def parse(block: Block) -> pa.Table:
        labels, entries = _entries(block, rf"^(?<index>\d+):(?<value>{_NUMBER})$", "index:value")
        if not wanted:
            return pa.table([labels.to_arrow().cast(TEXT), _features(entries, len(labels))], ["label", "features"])
        columns = [labels, *(_cells(entries, "index", number, "value", len(labels), "0") for number in wanted.values())]
        return pa.table([column.to_arrow().cast(TEXT) for column in columns], ["label", *wanted])

    return Layout(("label", *(wanted or ("features",))), _CUTTING, 0, 1, parse)


def libffm_layout(path: Path, options: FileOptions) -> Layout:
    """``label`` and for each field ``f0`` its index, ``f0_value`` its value; several are joined by spaces.

    The fields are those of the file's first rows, or those that ``columns: [f0, f1]`` names. Raises InputError for
    other names.
    """
    pattern, expected = rf"^(?<field>\d+):(?<index>[^:]+):(?<value>{_NUMBER})$", "field:index:value"
    if options.columns is not None:
        fields = {name: _number(path, name, "field") for name in options.columns}
    else:
        first = _first_block(path, options)
        _, entries = _entries(first, pattern, expected)
        numbers = sorted(entries["field"].unique().to_list(), key=lambda number: (int(number), number))
        fields = {f"f{number}": number for number in numbers}
    names = ("label", *fields, *(f"{name}_value" for name in fields))

    def parse(block: Block) -> pa.Table:
        labels, entries = _entries(block, pattern, expected)
        other = entries.filter(~pl.col("field").is_in(list(fields.values())))
        if len(other) and options.columns is None:
            line, field = block.line + other["row"][0], other["field"][0]
            raise InputError(
                f"{path}: line {line}: field {field} is in none of the first rows; name all fields with "
                f"'columns', such as [{', '.join([*fields, f'f{field}'])}]"
            )
        columns = [
            _cells(entries, "field", number, what, len(labels), None)
            for what in ("index", "value")
            for number in fields.values()
        ]
        return pa.table([column.to_arrow().cast(TEXT) for column in (labels, *columns)], list(names))

    return Layout(names, _CUTTING, 0, 1, parse)


def _entries(block: Block, pattern: str, expected: str) -> tuple[pl.Series, pl.DataFrame]:
    """The labels (n,), and every entry of every row, in order: its row, and what ``pattern`` names."""
    check_utf8(block)
    lines = pl.Series(block.data.decode().removesuffix("\n").split("\n"), dtype=pl.String)
    words = lines.str.replace(r"\s*(?:#.*)?\r?$", "").str.extract_all(r"\S+")
    labels = words.list.get(0, null_on_oob=True)
    if labels.null_count():
        line = block.line + int(labels.is_null().arg_max() or 0)
        raise InputError(f"{block.path}: line {line} is blank, expected a label and entries {expected}")
    entries = pl.DataFrame({"row": pl.int_range(len(labels), dtype=pl.Int64, eager=True), "entry": words.list.slice(1)})
    entries = entries.filter(pl.col("entry").list.len() > 0).explode("entry")
    parts = entries["entry"].str.extract_groups(pattern).struct.unnest()
    wrong = parts["value"].is_null()
    if wrong.any():
        place = int(wrong.arg_max() or 0)
        line, entry = block.line + entries["row"][place], entries["entry"][place]
        raise InputError(f"{block.path}: line {line}: {entry!r}, expected {expected}")
    return labels, parts.insert_column(0, entries["row"])


def _features(entries: pl.DataFrame, rows: int) -> pa.Array:
    there = entries.filter(pl.col("value").cast(pl.Float64) != 0)
    lengths = there["row"].value_counts(sort=False).rename({"row": "at"})
    offsets = pl.Series([0] * rows, dtype=pl.Int64).scatter(lengths["at"], lengths["count"].cast(pl.Int64)).cum_sum()
    edges = pl.concat([pl.Series([0], dtype=pl.Int64), offsets]).cast(pl.Int32)
    return pa.ListArray.from_arrays(edges.to_arrow(), there["index"].to_arrow().cast(TEXT)).cast(_LISTS)


def _cells(entries: pl.DataFrame, key: str, number: str, what: str, rows: int, absent: str | None) -> pl.Series:
    """One column (rows,): what the entries with one index or field say, those of a row joined by spaces."""
    mine = entries.filter(pl.col(key) == number)
    if mine["row"].is_duplicated().any():
        mine = mine.group_by("row", maintain_order=True).agg(pl.col(what).str.join(" "))
    cells = pl.Series([absent], dtype=pl.String).new_from_index(0, rows)
    return cells.scatter(mine["row"], mine[what])


def _number(path: Path, name: str, what: str) -> str:
    if not (name.startswith("f") and name[1:].isdecimal()):
        raise InputError(f"{path}: columns: '{name}', expected f and the number of the {what}, such as f1")
    return name[1:]


def _first_block(path: Path, options: FileOptions) -> Block:
    with closing(Characters(path, options.encoding)) as characters:
        first = next(blocks(characters, _CUTTING, 0, 1, _FIRST), None)
    if first is None:
        raise InputError(f"{path}: the file is empty, expected rows")
    return first
