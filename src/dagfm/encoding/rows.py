"""Encoded rows: what training reads from disk and what serving makes of a request, in one shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Indices = NDArray[np.integer]


@dataclass(frozen=True)
class Ragged:
    """One token_seq column: row ``i`` holds ``values[offsets[i]:offsets[i + 1]]``; never empty, *missing* if it was."""

    offsets: Int64
    """(n + 1,), starting at 0."""
    values: Int32
    """(sum of lengths,), rows of the field."""

    def take(self, indices: Indices) -> Ragged:
        """The sequences of the given rows, in their order."""
        starts = self.offsets[indices]
        lengths = self.offsets[np.asarray(indices) + 1] - starts
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        positions = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(offsets, np.take(self.values, positions))


@dataclass(frozen=True)
class Rows:
    """n encoded rows. Ids count from 0 within their field: 0 unknown, 1 missing, 2 the most frequent token."""

    tokens: Int32
    """(n, number of token fields), in schema order."""
    floats: Float32
    """(n, sum of the float fields' widths), in schema order, standardised on training rows; NaN where missing."""
    sequences: tuple[Ragged, ...]
    """One for each token_seq field, in schema order."""

    def __len__(self) -> int:
        return len(self.tokens)

    def take(self, indices: Indices) -> Rows:
        """The given rows, in their order, as arrays in memory."""
        # Several times faster than an index: take copies whole rows.
        return Rows(
            np.take(self.tokens, indices, axis=0),
            np.take(self.floats, indices, axis=0),
            tuple(sequence.take(indices) for sequence in self.sequences),
        )


def joined(parts: Sequence[Rows]) -> Rows:
    """At least one part, one after another."""

    def end_to_end(column: Sequence[Ragged]) -> Ragged:
        lengths = np.concatenate([np.diff(part.offsets) for part in column])
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        return Ragged(offsets, np.concatenate([part.values for part in column]))

    return Rows(
        np.concatenate([part.tokens for part in parts]),
        np.concatenate([part.floats for part in parts]),
        tuple(end_to_end(column) for column in zip(*(part.sequences for part in parts), strict=True)),
    )
