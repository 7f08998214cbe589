"""The third pass: every chunk's codes become row ids, its rows go to their part's arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dagfm.data.array_files import ArrayFile
from dagfm.data.mapped import blocks
from dagfm.data.memory import give_back
from dagfm.data.split import PARTS
from dagfm.data.staging.chunks import Chunk, Staged
from dagfm.data.staging.merge import RowMap
from dagfm.data.threads import in_order
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32, Int32, Int64, Ragged
from dagfm.encoding.sequences import ragged
from dagfm.schema import Schema

Number = TypeVar("Number", bound=np.generic)
Advance = Callable[[int], None]

_PIECE = 8192
"""Rows that are written column by column while they are in the cache."""


@dataclass(frozen=True, eq=False)
class _Encoded:
    """Rows of one chunk that belong to one part, as its files take them."""

    tokens: Int32
    floats: Float32
    sequences: list[Ragged]
    sources: dict[str, Int32]


@dataclass(eq=False)
class _Part:
    """The files of one part."""

    tokens: ArrayFile
    floats: ArrayFile
    offsets: list[ArrayFile]
    values: list[ArrayFile]
    sources: dict[str, ArrayFile]
    """Row ids that a target statistic is of, by field; the statistic itself comes later."""
    items: list[int]
    """Values written so far, by sequence."""

    def append(self, rows: _Encoded) -> None:
        """Write the next rows."""
        self.tokens.append(rows.tokens)
        self.floats.append(rows.floats)
        for name, ids in rows.sources.items():
            self.sources[name].append(ids)
        for index, sequence in enumerate(rows.sequences):
            self.offsets[index].append(sequence.offsets[1:] + self.items[index])
            self.values[index].append(sequence.values)
            self.items[index] += len(sequence.values)

    @property
    def files(self) -> list[ArrayFile]:
        """All of them."""
        return [self.tokens, self.floats, *self.offsets, *self.values, *self.sources.values()]


def source_file(folder: Path, part: str, schema: Schema, name: str) -> Path:
    """Where the row ids lie that a field's target statistic is of."""
    return folder / f"source-{schema.names.index(name)}-{part}.npy"


def assemble(
    staged: Staged, encoder: Encoder, maps: Mapping[str, RowMap], directory: Path, advance: Advance
) -> list[str]:
    """Write tokens, floats and sequences of all parts into ``directory``; the columns of crosses and target statistics
    stay zero. Returns the files' names."""
    names: list[str] = []
    parts = [_part(staged, encoder.schema, directory, name, staged.sizes[name], names) for name in PARTS]
    encoded_chunks = in_order(partial(_encoded, staged, encoder, maps), staged.chunks)
    for chunk, encoded in zip(staged.chunks, encoded_chunks, strict=True):
        for part, rows in zip(parts, encoded, strict=True):
            part.append(rows)
        give_back()
        advance(len(chunk))
    for part in parts:
        for file in part.files:
            file.close()
    return names


def _part(staged: Staged, schema: Schema, directory: Path, name: str, rows: int, names: list[str]) -> _Part:
    def array(file: str, dtype: type[np.generic], *shape: int) -> ArrayFile:
        names.append(f"{name}/{file}.npy")
        return ArrayFile(directory / names[-1], dtype, shape)

    columns = sum(one.width for one in schema.of_form("numbers"))
    tokens = array("tokens", np.int32, rows, len(schema.of_form("ids")))
    floats = array("floats", np.float32, rows, columns)
    offsets, values = [], []
    for index, one in enumerate(schema.of_form("items")):
        coding = staged.codings[one.name]
        held = sum(staged.arrays(chunk).items(coding)[PARTS.index(name)] for chunk in staged.chunks)
        offsets.append(array(f"seq{index}-offsets", np.int64, rows + 1))
        offsets[-1].append(np.zeros(1, np.int64))
        values.append(array(f"seq{index}-values", np.int32, held))
    sources = {
        one.name: ArrayFile(source_file(staged.folder, name, schema, one.name), np.int32, (rows,))
        for one in schema
        if one.is_target and one.cross is None
    }
    return _Part(tokens, floats, offsets, values, sources, items=[0] * len(offsets))


def _encoded(staged: Staged, encoder: Encoder, maps: Mapping[str, RowMap], chunk: Chunk) -> list[_Encoded]:
    """The rows of a chunk, part by part."""
    schema, arrays, codings = encoder.schema, staged.arrays(chunk), staged.codings
    tokens: list[Int32] = []
    floats: list[Float32] = []
    sources: dict[str, Int32] = {}
    sequences = []
    for one in schema:
        if one.name in encoder.scales:
            floats += list(encoder.scales[one.name].apply(arrays.numbers(one.name)).T)
        elif one.name in encoder.bins:
            tokens.append(encoder.bins[one.name].encode(arrays.numbers(one.name)[:, 0]))
        elif one.cross is None:
            coding = codings[one.name]
            ids = maps[one.name].of(chunk)[arrays.codes(coding)]
            if coding.has_items:
                sequences.append(ragged(arrays.lengths(coding), ids))
            elif one.is_target:
                sources[one.name] = ids
            else:
                tokens.append(ids)
        if one.cross is not None or one.is_target:
            later = (tokens, np.int32, 1) if one.form == "ids" else (floats, np.float32, one.width)
            later[0].extend(np.zeros((later[2], len(chunk)), later[1]))
    found = []
    for number in range(len(PARTS)):
        rows = np.flatnonzero(staged.parts(chunk) == number)
        found.append(
            _Encoded(
                _interleaved(tokens, rows, np.int32),
                _interleaved(floats, rows, np.float32),
                [sequence.take(rows) for sequence in sequences],
                {name: ids[rows] for name, ids in sources.items()},
            )
        )
    return found


def _interleaved(columns: Sequence[NDArray[Number]], rows: Int64, kind: type[Number]) -> NDArray[Number]:
    """(len(rows), columns) the given rows of some columns, made a piece that fits the cache at a time."""
    found = np.empty((len(rows), len(columns)), kind)
    for piece in blocks(len(rows), _PIECE):
        here = rows[piece]
        for index, column in enumerate(columns):
            found[piece, index] = column[here]
    return found
