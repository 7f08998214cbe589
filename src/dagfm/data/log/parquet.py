"""Parquet files as a stream of rows in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from dagfm.data.log.kinds import TEXT, kind_of
from dagfm.errors import InputError, listed

ROW_GROUP = 1 << 18
WRITING: dict[str, Any] = {
    # All distinct text that a row group can hold: reading text back never has to encode it again.
    "dictionary_pagesize_limit": 1 << 30,
    "write_statistics": False,  # nobody asks for them, and text makes them dear
    "write_page_checksum": True,
    "compression": "lz4",
}
"""How Parquet that is read by us alone is written."""

_BUFFER = 1 << 18
"""Bytes read ahead a column. Column chunks are streamed through it: a row group may be larger than memory."""


@dataclass(frozen=True)
class ParquetRows:
    """The rows of one Parquet file: what its metadata says, and the rows themselves as often as wanted."""

    path: Path
    told: Path
    """How messages call the file: that of the user, where this one was made from it."""
    rows: int
    kinds: Mapping[str, pa.DataType]

    @classmethod
    def open(cls, path: Path) -> ParquetRows:
        """Read the metadata. Raises InputError for a damaged file and for repeated column names."""
        try:
            with pq.ParquetFile(path) as file:
                fields, rows = list(file.schema_arrow), file.metadata.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise InputError(_damaged(path, error)) from None
        names = [field.name for field in fields]
        repeated = [name for index, name in enumerate(names) if name in names[:index]]
        if repeated:
            raise InputError(f"{path}: column '{repeated[0]}' occurs twice: {listed(names)}")
        return cls(path, path, rows, {field.name: kind_of(field.type) for field in fields})

    def batches(self, columns: Sequence[str], rows: int, start: int) -> Iterator[pa.Table]:
        """Tables of at most ``rows`` rows from row ``start`` on, text as dictionaries. Raises InputError where the
        file turns out to be damaged."""
        wanted = list(columns) or list(self.kinds)[:1]  # a row count needs a column
        texts = [name for name in wanted if self.kinds[name] == TEXT]
        try:
            # Not pre_buffer, the default: it holds whole row groups. Text is read straight into dictionaries: five
            # times as fast as decoding and encoding it again.
            with pq.ParquetFile(
                self.path,
                read_dictionary=texts,
                pre_buffer=False,
                buffer_size=_BUFFER,
                page_checksum_verification=True,
            ) as file:
                sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
                first = 0
                while first < len(sizes) and start >= sizes[first]:
                    start -= sizes[first]
                    first += 1
                if first == len(sizes):
                    return
                for batch in file.iter_batches(rows, range(first, len(sizes)), wanted):
                    # Codes beyond their dictionary, or text that is no UTF-8, would be read by others without a check.
                    batch.validate(full=True)
                    if start < batch.num_rows:
                        yield pa.Table.from_batches([batch.slice(start)]).select(wanted)
                    start = max(0, start - batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise InputError(_damaged(self.told, error)) from None


def _damaged(path: Path, error: Exception) -> str:
    return f"{path}: not a Parquet file, or a damaged one ({str(error).strip().splitlines()[0]})"
