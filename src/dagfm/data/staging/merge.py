"""From the chunks' own texts to one vocabulary a field, and from each chunk's local codes to row ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from dagfm.data.array_files import ArrayFile
from dagfm.data.mapped import created, mapped
from dagfm.data.split import PARTS, TRAIN
from dagfm.data.staging.chunks import Chunk, Staged
from dagfm.data.staging.codings import Coding
from dagfm.encoding.hashing import hashed
from dagfm.encoding.ranking import ranking
from dagfm.encoding.rows import Int32, Int64
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field

ENTRY_BYTES = 100
"""What grouping one entry (a distinct text of a chunk) takes, about: its text, a slot of the hash table, indices."""
_SEED = 7


@dataclass(frozen=True, eq=False)
class RowMap:
    """Row ids of the local codes of one coding, for one field: a file of all chunks' codes, one after the other."""

    path: Path
    starts: Int64
    """(chunks + 1,)."""
    counts: Int64
    """(rows,) how often each row id occurs in the training cells; an empty sequence is *missing* once."""

    @cached_property
    def _ids(self) -> Int32:
        return mapped(self.path)

    def of(self, chunk: Chunk) -> Int32:
        """(texts + 1,) row ids of a chunk's codes; the last is *missing*."""
        ids = self._ids[self.starts[chunk.number] : self.starts[chunk.number + 1]]
        return np.append(ids, np.int32(MISSING))


@dataclass(frozen=True)
class Collisions:
    """How often a hash gave one row to several values of the training rows."""

    distinct: int
    """Different values."""
    used: int
    """Rows that they share."""
    colliding: int
    """Values that are not alone in their row."""


def merge(staged: Staged, field: Field, codings: list[Coding], memory: int) -> tuple[Vocabulary, dict[int, RowMap]]:
    """The vocabulary of ``field`` over all its ``codings`` (several where other fields share it), and the row maps by
    coding.

    Entries are grouped by text, a part of them at a time where all would take more than ``memory`` bytes: those whose
    hash says so. What is rarer than ``min_count`` never leaves its part.
    """
    entries = _Entries(staged, field, codings, memory)
    groups = created(entries.file("groups"), np.int32 if entries.total < 1 << 31 else np.int64, (entries.total,))
    survivors, often, places = [], [], []
    total = 0
    for texts, counts, where in entries.passes():
        grouped = texts.dictionary_encode()
        piece = np.concatenate([_indices(chunk) for chunk in grouped.chunks] or [np.zeros(0, np.int64)])
        known = grouped.chunk(0).dictionary if grouped.num_chunks else pa.array([], pa.large_string())
        present = piece >= 0
        totals = np.bincount(piece[present], weights=counts[present], minlength=len(known)).astype(np.int64)
        groups[where] = np.where(present, piece + total, -1)
        kept = np.flatnonzero((totals >= field.min_count) & (totals > 0))
        survivors.append(pl.Series(pl.from_arrow(known)).gather(kept))
        often.append(totals[kept])
        places.append(kept + total)
        total += len(known)
    tokens, counts, places_ = pl.concat(survivors), np.concatenate(often), np.concatenate(places)
    order = ranking(tokens, counts, field.min_count, field.max_size)
    vocabulary = Vocabulary(tokens.gather(order), pl.Series(counts[order], dtype=pl.Int64))
    rows = np.full(total + 1, UNKNOWN, np.int32)
    rows[places_[order]] = np.arange(FIRST, FIRST + len(order), dtype=np.int32)
    rows[-1] = MISSING  # where a group of -1 looks
    maps = entries.row_maps(vocabulary.rows, lambda at: rows[groups[at]])
    entries.file("groups").unlink()
    return vocabulary, maps


def hash_rows(staged: Staged, field: Field, coding: Coding, memory: int) -> tuple[RowMap, Collisions]:
    """The row map of a field with a hash, and how its values collide."""
    size = field.hash
    assert size is not None, "asked for fields with a hash"
    entries = _Entries(staged, field, [coding], memory)
    maps = entries.row_maps(FIRST + size, lambda at: hashed(entries.texts_at(at), size))
    distinct = colliding = 0
    held = np.zeros(size, np.int32)
    for texts, counts, _ in entries.passes():
        seen = pl.DataFrame({"text": pl.Series(pl.from_arrow(texts)), "count": counts})
        values = seen.filter(pl.col("count") > 0)["text"].drop_nulls().unique()
        distinct += len(values)
        held += np.bincount(hashed(values, size) - FIRST, minlength=size).astype(np.int32)
    colliding = int(held[held > 1].sum())
    return maps[coding.index], Collisions(distinct, int(np.count_nonzero(held)), colliding)


class _Entries:
    """The distinct texts of all chunks of some codings, one after the other, for one field to group."""

    def __init__(self, staged: Staged, field: Field, codings: list[Coding], memory: int) -> None:
        self.staged, self.field, self.codings, self.memory = staged, field, codings, memory
        self.spans: list[tuple[Coding, Chunk, slice]] = []
        self.batches: list[pa.RecordBatch] = []
        """Mapped, not read, and opened once: that takes longer than reading does."""
        self.total = 0
        for coding in codings:
            for chunk in staged.chunks:
                batch = staged.texts(chunk).get_batch(coding.index)
                self.batches.append(batch)
                self.spans.append((coding, chunk, slice(self.total, self.total + batch.num_rows)))
                self.total += batch.num_rows

    def file(self, what: str) -> Path:
        """A file of the field's own: several fields may be of one coding, and learn at the same time."""
        return self.staged.folder / f"{what}-{self.staged.schema.names.index(self.field.name)}.npy"

    def passes(self) -> Iterator[tuple[pa.ChunkedArray, Int64, Int64 | slice]]:
        """The texts, counts and places of all entries, or of those of one hash after the other, so that grouping what
        comes at a time takes no more than the memory."""
        passes = max(1, -(-self.total * ENTRY_BYTES // self.memory))
        if passes == 1:
            texts = pa.chunked_array([batch.column(0) for batch in self.batches], pa.large_string())
            yield texts, np.concatenate([batch.column(1) for batch in self.batches]), slice(0, self.total)
            return
        turns = created(self.file("turns"), np.uint16, (self.total,))
        for batch, (_, _, span) in zip(self.batches, self.spans, strict=True):
            turns[span] = pl.Series(pl.from_arrow(batch.column(0))).hash(_SEED).to_numpy() % passes
        for turn in range(passes):
            pieces, counts, where = [], [], []
            for batch, (_, _, span) in zip(self.batches, self.spans, strict=True):
                chosen = np.flatnonzero(turns[span] == turn)
                pieces.append(batch.column(0).take(pa.array(chosen)))
                counts.append(batch.column(1).to_numpy()[chosen])
                where.append(chosen + span.start)
            yield pa.chunked_array(pieces, pa.large_string()), np.concatenate(counts), np.concatenate(where)
        self.file("turns").unlink()

    def texts_at(self, span: slice) -> pl.Series:
        """The texts of one chunk."""
        batch = next(batch for batch, one in zip(self.batches, self.spans, strict=True) if one[2] == span)
        return pl.Series(pl.from_arrow(batch.column(0)))

    def row_maps(self, size: int, ids: Callable[[slice], Int32]) -> dict[int, RowMap]:
        """Write the row ids below ``size`` that ``ids`` gives for each span of entries; one file a coding."""
        maps = {}
        for coding in self.codings:
            of_coding = [one for one in zip(self.spans, self.batches, strict=True) if one[0][0] is coding]
            path = self.file(f"rows-{coding.index}")
            starts = np.cumsum([0, *(batch.num_rows for _, batch in of_coding)])
            counts = np.zeros(size, np.int64)
            out = ArrayFile(path, np.int32, (int(starts[-1]),))
            for (_, _, span), batch in of_coding:
                rows = ids(span)
                out.append(rows)
                held = batch.column(1).to_numpy()
                used = np.flatnonzero(held)
                np.add.at(counts, rows[used], held[used])
            out.close(durable=False)
            counts[MISSING] += self._cells(coding) - int(counts.sum())
            maps[coding.index] = RowMap(path, starts, counts)
        return maps

    def _cells(self, coding: Coding) -> int:
        """Training cells, or items, of a coding."""
        if not coding.has_items:
            return self.staged.sizes[PARTS[TRAIN]]
        return sum(self.staged.arrays(chunk).items(coding)[TRAIN] for chunk in self.staged.chunks)


def _indices(piece: pa.DictionaryArray) -> Int64:
    indices: Int64 = piece.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return indices
