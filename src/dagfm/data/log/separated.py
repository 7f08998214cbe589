"""CSV and TSV: text with a separator between cells, a header line or given names, and quotes."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from dagfm.config.files import FileOptions
from dagfm.data.log.blocks import Block, Cutting, Layout, blocks
from dagfm.data.log.characters import Characters, not_text
from dagfm.data.log.kinds import TEXT
from dagfm.data.log.quotes import quoted, record_starts
from dagfm.errors import InputError, listed

_STAND_INS = [bytes([code]) for code in (*range(0x1F, 0x0F, -1), *range(0x01, 0x09))]
"""Control characters that may stand for a separator of several bytes, where a block holds none of them."""
_HEADER = 1 << 16
_PIECE = 1 << 20
"""Bytes that are parsed before they are copied into columns: what stays in the cache, which halves the time."""


def csv_layout(path: Path, options: FileOptions) -> Layout:
    """The layout of a CSV file. Raises InputError for repeated names and for a header without rows."""
    return separated(path, options, options.separator or ",", options.quote)


def tsv_layout(path: Path, options: FileOptions) -> Layout:
    """The layout of a TSV file: as CSV, with tabs."""
    return separated(path, options, options.separator or "\t", options.quote)


def separated(path: Path, options: FileOptions, separator: str, quote: str | None) -> Layout:
    """The layout of text with ``separator`` between cells."""
    cutting = Cutting(separator.encode(), quote.encode() if quote else None)
    if options.columns is not None:
        names, position, line = list(options.columns), 0, 1
        why = f"'columns' names {len(names)}"
    else:
        names, position, line = _header(path, options.encoding, cutting)
        why = f"the header has {len(names)} columns"
    return Layout(tuple(names), cutting, position, line, lambda block: parsed(block, names, cutting, why))


def parsed(block: Block, names: list[str], cutting: Cutting, why: str) -> pa.Table:
    """The cells of a block as text, null where empty. Raises InputError naming the first line that has not a cell for
    each name, and undecodable bytes with line and place."""
    data, separator = block.data, cutting.separator
    _check_lines(block, cutting, len(names), why)
    stand_in = separator
    if len(separator) > 1:
        stand_in = next((code for code in _STAND_INS if code not in data), b"")
        if not stand_in:
            raise InputError(f"{block.path}: from line {block.line}: too many control characters to be text")
        data = data.replace(separator, stand_in)
    wrong: list[pacsv.InvalidRow] = []
    try:
        try:
            table = _table(data, names, stand_in, cutting.quote, _PIECE, wrong)
        except pa.ArrowException:
            if wrong:
                raise
            # A record longer than a piece, or what the whole will tell of, too.
            table = _table(data, names, stand_in, cutting.quote, len(data) + 1, wrong)
    except pa.ArrowException as error:
        if wrong:
            row = wrong[0]
            start = int(record_starts(block.data, separator, cutting.quote)[row.number - 1])
            line = block.line + block.data.count(b"\n", 0, start)
            raise InputError(f"{block.path}: line {line} has {row.actual_columns} cells, {why}") from None
        check_utf8(block)
        raise InputError(f"{block.path}: from line {block.line}: cannot be read: {error}") from None
    if stand_in != separator and cutting.quote is not None and cutting.quote in data:
        # Within quotes a separator was text.
        table = pa.table([_replaced(column, stand_in, separator) for column in table.columns], names)
    return table


def _table(
    data: bytes, names: list[str], separator: bytes, quote: bytes | None, piece: int, wrong: list[pacsv.InvalidRow]
) -> pa.Table:
    """Parse with Arrow: polars takes as long, but fills short lines with nulls without a word.

    One thread: blocks are parsed side by side, and a row's number is told in no other way. A row that has not a cell
    for each name is put into ``wrong`` and refused.
    """

    def refuse(row: pacsv.InvalidRow) -> str:
        wrong.append(row)
        return "error"

    return pacsv.read_csv(
        pa.BufferReader(data),
        pacsv.ReadOptions(use_threads=False, column_names=names, block_size=piece),
        pacsv.ParseOptions(
            delimiter=separator.decode(),
            quote_char=quote.decode() if quote else False,
            newlines_in_values=quote is not None and quote in data,
            ignore_empty_lines=False,
            invalid_row_handler=refuse,
        ),
        pacsv.ConvertOptions(column_types=dict.fromkeys(names, TEXT), null_values=[""], strings_can_be_null=True),
    )


def check_utf8(block: Block) -> None:
    """Raise InputError where the block is not UTF-8, with line and place in the file."""
    try:
        block.data.decode()
    except UnicodeDecodeError as error:
        line = block.line + block.data.count(b"\n", 0, error.start)
        place = block.mark + block.position + error.start
        raise InputError(not_text(block.path, line, "utf-8", error.reason, place)) from None


def _check_lines(block: Block, cutting: Cutting, width: int, why: str) -> None:
    """Refuse what the parser takes without a word: a blank line between others, as a row of nothing, and a carriage
    return that is no part of a line end, as the end of a row."""
    data = block.data
    blank = width > 1 and (data[:1] == b"\n" or data[:2] == b"\r\n" or b"\n\n" in data or b"\n\r\n" in data)
    lone = b"\r" in data and data.count(b"\r") != data.count(b"\r\n")
    if not blank and not lone:
        return
    line = block.line
    for start, end in pairwise(record_starts(data, cutting.separator, cutting.quote).tolist()):
        record = data[start:end].removesuffix(b"\n").removesuffix(b"\r")
        if blank and not record:
            raise InputError(f"{block.path}: line {line} has 0 cells, {why}")
        if lone and b"\r" in _outside_quotes(record, cutting):
            raise InputError(
                f"{block.path}: line {line} holds a carriage return alone, expected \\n or \\r\\n at line ends"
            )
        line += data.count(b"\n", start, end)


def _outside_quotes(record: bytes, cutting: Cutting) -> bytes:
    if cutting.quote is None or cutting.quote not in record:
        return record
    stretches = quoted(record, cutting.separator, cutting.quote)
    bare, last = [], 0
    for start, end in zip(stretches.starts.tolist(), stretches.ends.tolist(), strict=True):
        bare.append(record[last:start])
        last = min(end, len(record))
    return b"".join([*bare, record[last:]])


def _replaced(column: pa.ChunkedArray, old: bytes, new: bytes) -> pa.ChunkedArray:
    return pc.replace_substring(column, old.decode(), new.decode())


def _header(path: Path, encoding: str, cutting: Cutting) -> tuple[list[str], int, int]:
    """Names of the columns, and position and line of the first row."""
    with closing(Characters(path, encoding)) as characters:
        first = next(blocks(characters, cutting, 0, 1, _HEADER), None)
    if first is None:
        raise InputError(f"{path}: the file is empty, expected rows")
    end = int(record_starts(first.data, cutting.separator, cutting.quote)[1])
    header = Block(path, first.data[:end], 0, 1, first.mark)
    check_utf8(header)
    _check_lines(header, cutting, 1, "")
    names = _cells(header.data.decode(), cutting)
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: column '{repeated[0]}' occurs twice in the header: {listed(names)}")
    return names, end, header.last_line


def _cells(line: str, cutting: Cutting) -> list[str]:
    line, separator = line.rstrip("\r\n"), cutting.separator.decode()
    if cutting.quote is None or cutting.quote.decode() not in line:
        return line.split(separator)
    reader = csv.reader(
        io.StringIO(line.replace(separator, "\x1f"), newline=""), delimiter="\x1f", quotechar=cutting.quote.decode()
    )
    return [name.replace("\x1f", separator) for name in next(reader, [""])]
