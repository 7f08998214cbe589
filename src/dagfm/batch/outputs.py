"""How scored rows are written: part by part, and all parts as one file."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from dagfm.data.log import as_frame
from dagfm.data.log.kinds import CODED_TEXT, TEXT
from dagfm.data.log.parquet import WRITING
from dagfm.errors import InputError, listed


class Output(Protocol):
    """A format."""

    def write(self, table: pa.Table, path: Path, first: bool) -> None:
        """Write some rows, the ``first`` ones or others, as a part."""

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """Write the rows of all parts to one file, holding one part at most."""


@dataclass(frozen=True)
class Text:
    """Lines of cells, below a line with the columns' names."""

    separator: str

    def write(self, table: pa.Table, path: Path, first: bool) -> None:
        """As ``Output`` has it."""
        as_frame(table).write_csv(path, separator=self.separator, include_header=first)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """As ``Output`` has it."""
        with path.open("wb") as file:
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, file, 1 << 20)

    def lines(self, table: pa.Table, first: bool) -> bytes:
        """What ``write`` writes."""
        buffer = io.BytesIO()
        as_frame(table).write_csv(buffer, separator=self.separator, include_header=first)
        return buffer.getvalue()


class Parquet:
    """A row group for each part."""

    def write(self, table: pa.Table, path: Path, first: bool) -> None:
        """As ``Output`` has it."""
        plain = {
            name: column.cast(TEXT) if column.type == CODED_TEXT else column
            for name, column in zip(table.column_names, table.columns, strict=True)
        }
        pq.write_table(pa.table(plain), path, **WRITING)

    def join(self, parts: Sequence[Path], path: Path) -> None:
        """As ``Output`` has it."""
        with _whole(parts[0]):
            schema = pq.read_schema(parts[0])
        coded = [field.name for field in schema if field.type == TEXT]
        with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=coded) as writer:
            for part in parts:
                writer.write_table(_read(part, schema))


def _read(part: Path, schema: pa.Schema) -> pa.Table:
    with _whole(part):
        table = pq.read_table(part, partitioning=None, page_checksum_verification=True)
    if table.schema != schema:
        raise InputError(f"{part}: has other columns than the first part; run the same command again")
    return table


@contextmanager
def _whole(part: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{part}: a part of the output is damaged ({error}); run the same command again") from None


CSV = Text(",")
OUTPUTS: Mapping[str, Output] = MappingProxyType({".csv": CSV, ".parquet": Parquet(), ".tsv": Text("\t")})
"""By suffix."""


def output_of(path: Path) -> Output:
    """The format of a file that is to be written. Raises InputError for a suffix that names none."""
    if path.suffix not in OUTPUTS:
        raise InputError(f"{path}: cannot write '{path.suffix}'; valid suffixes: {listed(OUTPUTS)}")
    return OUTPUTS[path.suffix]


def check_flat(kinds: Mapping[str, pa.DataType]) -> None:
    """Raise InputError where text cannot hold one of these columns."""
    for name, kind in as_frame(pa.schema(kinds.items()).empty_table()).schema.items():
        if kind.is_nested():
            raise InputError(f"--keep {name}: holds {kind}, which CSV cannot; write .parquet with -o")
