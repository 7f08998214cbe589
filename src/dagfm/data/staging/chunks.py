"""The second pass: chunk after chunk of rows, as local codes and numbers in one file each that a resumed run finds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file

from dagfm.data.memory import give_back
from dagfm.data.split import PARTS, TRAIN
from dagfm.data.staging.codings import Coded, Coding, coded, codings_of, number_fields, numbers_of
from dagfm.data.staging.plan import Plan, Segment, located
from dagfm.data.threads import in_order
from dagfm.encoding.rows import Int64
from dagfm.encoding.values import BadValueError, Float64
from dagfm.files import replacing
from dagfm.schema import Schema

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Chunk:
    """Rows ``start`` to ``stop`` of a plan, all of one segment."""

    number: int
    segment: Segment
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class Staged:
    """All chunks of a plan on disk."""

    folder: Path
    schema: Schema
    plan: Plan
    chunks: tuple[Chunk, ...]

    @cached_property
    def codings(self) -> dict[str, Coding]:
        """The coding of every field with token texts."""
        return codings_of(self.schema)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return self.plan.sizes()

    def arrays(self, chunk: Chunk) -> ChunkFile:
        """The arrays of a chunk."""
        return ChunkFile(self.folder / f"chunk-{chunk.number:06d}.safetensors")

    def texts(self, chunk: Chunk) -> pa.ipc.RecordBatchFileReader:
        """The texts of a chunk's codings and how many training cells hold each: one record batch a coding."""
        return pa.ipc.open_file(pa.memory_map(str(self.folder / f"chunk-{chunk.number:06d}.arrow")))

    def parts(self, chunk: Chunk) -> NDArray[np.uint8]:
        """The parts (n,) of a chunk's rows."""
        return self.plan.parts[chunk.start : chunk.stop]


class ChunkFile:
    """The arrays of one chunk, read one by one."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="numpy")

    def codes(self, coding: Coding) -> NDArray[np.unsignedinteger]:
        """Codes of the cells, or items, of a coding."""
        codes: NDArray[np.unsignedinteger] = self._get(f"codes-{coding.index}")
        return codes

    def lengths(self, coding: Coding) -> Int64:
        """(n,) items of each row."""
        lengths: Int64 = self._get(f"lengths-{coding.index}")
        return lengths

    def numbers(self, name: str) -> Float64:
        """(n, width) numbers of a field."""
        numbers: Float64 = self._get(f"numbers-{name}")
        return numbers

    def items(self, coding: Coding) -> list[int]:
        """Items of the rows of train, valid and test, *missing* of an empty row counted."""
        metadata: dict[str, str] = self._file.metadata()  # type: ignore[no-untyped-call]
        found: list[int] = json.loads(metadata["items"])[str(coding.index)]
        return found

    def _get(self, key: str) -> Any:
        return self._file.get_tensor(key)  # type: ignore[no-untyped-call]


def stage(plan: Plan, schema: Schema, folder: Path, rows: int, advance: Advance) -> Staged:
    """Write every chunk of at most ``rows`` rows that is not yet there.

    Raises InputError naming file and row for a cell that its field cannot have.
    """
    chunks = tuple(_cut(plan, rows))
    staged = Staged(folder, schema, plan, chunks)
    for segment in plan.segments:
        of_segment = [chunk for chunk in chunks if chunk.segment is segment]
        done = 0
        while done < len(of_segment) and _is_there(folder, of_segment[done]):
            advance(len(of_segment[done]))
            done += 1
        start = of_segment[done].start - segment.start if done < len(of_segment) else len(segment.log)
        sizes = [len(chunk) for chunk in of_segment[done:]]
        tables = segment.log.batches(list(schema.columns), sizes, start) if sizes else iter(())
        for chunk in in_order(partial(_work, staged), zip(of_segment[done:], tables, strict=True)):
            give_back()
            advance(len(chunk))
    return staged


def _cut(plan: Plan, rows: int) -> Iterator[Chunk]:
    number = 0
    for segment in plan.segments:
        start = segment.start
        for size in segment.log.cuts(rows):
            yield Chunk(number, segment, start, start + size)
            number, start = number + 1, start + size


def _is_there(folder: Path, chunk: Chunk) -> bool:
    """The arrays are written last."""
    return (folder / f"chunk-{chunk.number:06d}.safetensors").exists()


def _work(staged: Staged, work: tuple[Chunk, pa.Table]) -> Chunk:
    """Write a chunk, from the table of its rows; returns it."""
    chunk, table = work
    try:
        _write(staged, chunk, table)
    except BadValueError as error:
        raise located(chunk.segment, chunk.start - chunk.segment.start, error) from None
    return chunk


def _write(staged: Staged, chunk: Chunk, table: pa.Table) -> None:
    origin = chunk.segment.log.origin
    parts = staged.parts(chunk)
    arrays: dict[str, NDArray[np.generic]] = {}
    items: dict[str, list[int]] = {}
    batches = []
    for coding in dict.fromkeys(staged.codings.values()):
        found = coded(table[coding.field.source], coding, origin)
        arrays[f"codes-{coding.index}"] = found.codes
        if found.lengths is not None:
            arrays[f"lengths-{coding.index}"] = found.lengths
            held = np.bincount(parts, weights=np.maximum(found.lengths, 1), minlength=len(PARTS))
            items[str(coding.index)] = held[: len(PARTS)].astype(int).tolist()
        batches.append(_texts(found, parts))
    for field in number_fields(staged.schema):
        arrays[f"numbers-{field.name}"] = numbers_of(table[field.source], field, origin)
    name = f"chunk-{chunk.number:06d}"
    with replacing(staged.folder / f"{name}.arrow") as temporary, pa.ipc.new_file(temporary, _TEXTS) as file:
        for batch in batches:
            file.write_batch(batch)
    with replacing(staged.folder / f"{name}.safetensors") as temporary:
        save_file({key: np.ascontiguousarray(array) for key, array in arrays.items()}, temporary, _metadata(items))


_TEXTS = pa.schema([("text", pa.large_string()), ("count", pa.int64())])


def _texts(found: Coded, parts: NDArray[np.uint8]) -> pa.RecordBatch:
    training = parts == TRAIN
    if found.lengths is not None:
        training = np.repeat(training, found.lengths)
    counts = np.bincount(found.codes[training], minlength=len(found.texts) + 1)[: len(found.texts)]
    texts = found.texts.cast(pl.String).to_arrow()
    return pa.record_batch([texts.cast(pa.large_string()), pa.array(counts, pa.int64())], schema=_TEXTS)


def _metadata(items: dict[str, list[int]]) -> dict[str, str]:
    return {"items": json.dumps(items)}
