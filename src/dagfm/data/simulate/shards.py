"""The files of a simulation: one shard of rows, and beside it the probabilities that its clicks were drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from dagfm.data.simulate.blocks import Block, Source
from dagfm.data.simulate.columns import LABEL, TIME, Column
from dagfm.data.simulate.effects import Values
from dagfm.data.simulate.folder import TRUTH
from dagfm.data.simulate.ids import WIDTH, hexadecimal, scrambled
from dagfm.data.simulate.options import Options
from dagfm.files import replacing

BEST, NOW = "probability", "probability_at_its_time"

_SMALL = 4096
"""Fields of up to this many ids are written by a dictionary of all of them; for others it is made from the rows."""
_GROUPS = {"parquet": 4, "csv": 1}
"""Blocks written at once; in Parquet a row group, 262,144 rows. Text takes more memory and gains nothing from more."""


def shard_names(options: Options) -> list[str]:
    """The files of the log, in order."""
    shards = -(-options.rows // options.shard_rows)
    width = max(5, len(str(shards - 1)))
    return [f"clicks-{shard:0{width}d}.{options.format}" for shard in range(shards)]


def truth_path(directory: Path, shard: str) -> Path:
    """Where the probabilities of a shard are."""
    return directory / TRUTH / Path(shard).with_suffix(".parquet").name


def write_shard(
    directory: Path, name: str, source: Source, seed: int, rows: range, advance: Callable[[int], None]
) -> None:
    """Write a shard and its truth, both whole or not at all; the shard last, so that its presence means both."""
    file = directory / name
    columns = _Columns(source.fields, seed)
    truth: list[Block] = []

    def tables() -> Iterator[pa.Table]:
        for group in _groups(source.rows(rows.start, rows.stop), _GROUPS[file.suffix[1:]]):
            yield pa.concat_tables([columns.table(block) for block in group])
            truth.extend(Block([], block.time[:0], block.click, block.best, block.now) for block in group)
            advance(sum(len(block.click) for block in group))

    with replacing(file) as temporary:
        if file.suffix == ".csv":
            _write_csv(temporary, tables())
        else:
            _write_parquet(temporary, tables())
        with replacing(truth_path(directory, name)) as path:
            _truth_table(truth).write_parquet(path)


class _Columns:
    """Turns blocks into Arrow tables; keeps the texts of small fields."""

    def __init__(self, fields: Sequence[Column], seed: int) -> None:
        self._fields, self._seed = fields, seed
        self._texts = {
            column.index: self._text(column, np.arange(column.ids)) for column in fields if 0 < column.ids <= _SMALL
        }

    def table(self, block: Block) -> pa.Table:
        """The rows of a block as the files have them: label, time, fields."""
        arrays = {LABEL: pa.array(block.click), TIME: pa.array(block.time)}
        for column, values in zip(self._fields, block.values, strict=True):
            if column.is_number:
                arrays[column.name] = pa.array(values)
            elif column.index in self._texts:
                codes = pa.array(values.astype(np.int32))
                arrays[column.name] = pa.DictionaryArray.from_arrays(codes, self._texts[column.index])
            else:
                arrays[column.name] = self._text(column, values)
        return pa.table(arrays)

    def _text(self, column: Column, ranks: Values) -> pa.StringArray:
        text = hexadecimal(scrambled(ranks, self._seed, column.index))
        offsets = np.arange(0, WIDTH * (len(ranks) + 1), WIDTH, dtype=np.int32)
        return pa.StringArray.from_buffers(len(ranks), pa.py_buffer(offsets), pa.py_buffer(text))


def _write_parquet(path: Path, tables: Iterator[pa.Table]) -> None:
    writer = None
    try:
        for table in tables:
            if writer is None:
                # Without Arrow's own schema a column of a dictionary is read as what it is, text.
                writer = pq.ParquetWriter(path, table.schema, store_schema=False)
            writer.write_table(table, row_group_size=len(table))
    finally:
        if writer is not None:
            writer.close()


def _write_csv(path: Path, tables: Iterator[pa.Table]) -> None:
    with path.open("wb") as file:
        for number, table in enumerate(tables):
            text = [pa.string() if pa.types.is_dictionary(field.type) else field.type for field in table.schema]
            plain = table.cast(pa.schema(list(zip(table.column_names, text, strict=True))))
            frame = pl.from_arrow(plain)
            assert isinstance(frame, pl.DataFrame)
            frame.write_csv(file, include_header=number == 0)


def _truth_table(blocks: Sequence[Block]) -> pl.DataFrame:
    columns = {
        LABEL: np.concatenate([block.click for block in blocks]),
        BEST: np.concatenate([block.best for block in blocks]),
    }
    if blocks[0].now is not None:
        columns[NOW] = np.concatenate([block.now for block in blocks if block.now is not None])
    return pl.DataFrame(columns)


def _groups(blocks: Iterator[Block], size: int) -> Iterator[list[Block]]:
    group: list[Block] = []
    for block in blocks:
        group.append(block)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group
