"""From the chunks' own texts to one vocabulary a field, and from each chunk's local codes to row ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa

from dagfm.data.mapped import created, mapped
from dagfm.data.split import TRAIN
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

    def of(self, chunk: Chunk) -> Int32:
        """(texts + 1,) row ids of a chunk's codes; the last is *missing*."""
        ids = mapped(self.path)[self.starts[chunk.number] : self.starts[chunk.number + 1]]
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
    entries = _Entries(staged, codings)
    passes = max(1, -(-entries.total * ENTRY_BYTES // memory))
    # Named by the field: several fields may be of one coding, and learn at the same time.
    scratch = staged.folder / f"groups-{staged.schema.names.index(field.name)}.npy"
    groups = created(scratch, np.int64, (entries.total,))
    survivors, often, places = [], [], []
    total = 0
    for turn in range(passes):
        texts, counts, where = entries.of_pass(turn, passes)
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
    maps = entries.row_maps(field.name, lambda at: rows[groups[at]])
    scratch.unlink()
    return vocabulary, maps


def hash_rows(staged: Staged, field: Field, coding: Coding, memory: int) -> tuple[RowMap, Collisions]:
    """The row map of a field with a hash, and how its values collide."""
    size = field.hash
    assert size is not None, "asked for fields with a hash"
    entries = _Entries(staged, [coding])
    maps = entries.row_maps(field.name, lambda at: hashed(entries.texts_at(at), size))
    distinct = colliding = 0
    held = np.zeros(size, np.int32)
    passes = max(1, -(-entries.total * ENTRY_BYTES // memory))
    for turn in range(passes):
        texts, counts, _ = entries.of_pass(turn, passes)
        seen = pl.DataFrame({"text": pl.Series(pl.from_arrow(texts)), "count": counts})
        values = seen.filter(pl.col("count") > 0)["text"].drop_nulls().unique()
        distinct += len(values)
        held += np.bincount(hashed(values, size) - FIRST, minlength=size).astype(np.int32)
    colliding = int(held[held > 1].sum())
    return maps[coding.index], Collisions(distinct, int(np.count_nonzero(held)), colliding)


def count_rows(staged: Staged, coding: Coding, rows: RowMap, size: int) -> Int64:
    """(size,) how often each row id occurs in the training cells of a coding; an empty sequence is *missing* once."""
    counts = np.zeros(size, np.int64)
    cells = 0
    for chunk in staged.chunks:
        held = staged.texts(chunk).get_batch(coding.index).column(1).to_numpy()
        ids = rows.of(chunk)[:-1]
        used = np.flatnonzero(held)
        np.add.at(counts, ids[used], held[used])
        training = staged.parts(chunk) == TRAIN
        cells += staged.arrays(chunk).items(coding)[TRAIN] if coding.has_items else int(np.count_nonzero(training))
    counts[MISSING] += cells - int(counts.sum())
    return counts


class _Entries:
    """The distinct texts of all chunks of some codings, one after the other."""

    def __init__(self, staged: Staged, codings: list[Coding]) -> None:
        self.staged, self.codings = staged, codings
        self.spans: list[tuple[Coding, Chunk, slice]] = []
        self.total = 0
        for coding in codings:
            for chunk in staged.chunks:
                count = self._batch(coding, chunk).num_rows
                self.spans.append((coding, chunk, slice(self.total, self.total + count)))
                self.total += count

    def _batch(self, coding: Coding, chunk: Chunk) -> pa.RecordBatch:
        return self.staged.texts(chunk).get_batch(coding.index)

    def of_pass(self, turn: int, passes: int) -> tuple[pa.ChunkedArray, Int64, Int64 | slice]:
        """The texts, counts and places of the entries that belong to one of several passes."""
        texts, counts, where = [], [], []
        for coding, chunk, span in self.spans:
            batch = self._batch(coding, chunk)
            text, count = batch.column(0), batch.column(1).to_numpy()
            if passes == 1:
                texts.append(text)
                counts.append(count)
                continue
            chosen = np.flatnonzero(pl.Series(pl.from_arrow(text)).hash(_SEED).to_numpy() % passes == turn)
            texts.append(text.take(pa.array(chosen)))
            counts.append(count[chosen])
            where.append(chosen + span.start)
        together = pa.chunked_array(texts, pa.large_string())
        at = slice(0, self.total) if passes == 1 else np.concatenate(where)
        return together, np.concatenate(counts), at

    def texts_at(self, span: slice) -> pl.Series:
        """The texts of one chunk."""
        coding, chunk, _ = next(one for one in self.spans if one[2] == span)
        return pl.Series(pl.from_arrow(self._batch(coding, chunk).column(0)))

    def row_maps(self, name: str, ids: Callable[[slice], Int32]) -> dict[int, RowMap]:
        """Write the row ids that ``ids`` gives for each span of entries; one file a coding."""
        maps = {}
        for coding in self.codings:
            spans = [(chunk, span) for one, chunk, span in self.spans if one is coding]
            path = self.staged.folder / f"rows-{self.staged.schema.names.index(name)}-{coding.index}.npy"
            starts = np.cumsum([0, *(span.stop - span.start for _, span in spans)])
            out = created(path, np.int32, (int(starts[-1]),))
            for (_, span), start in zip(spans, starts, strict=False):
                out[start : start + span.stop - span.start] = ids(span)
            maps[coding.index] = RowMap(path, starts)
        return maps


def _indices(piece: pa.DictionaryArray) -> Int64:
    indices: Int64 = piece.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return indices
