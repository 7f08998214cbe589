"""Combinations of fields: the pairs (or more) of row ids that training rows hold, as a vocabulary of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl

from dagfm.encoding.hashing import hashed_numbers
from dagfm.encoding.rows import Indices, Int32, Int64
from dagfm.encoding.tables import read_table
from dagfm.errors import InputError
from dagfm.files import replacing
from dagfm.schema import FIRST, UNKNOWN

NONE = -1
"""Key of a combination that has an *unknown* member: it is unknown itself."""


def cross_keys(members: Sequence[Indices], sizes: Sequence[int]) -> Int64:
    """One number (n,) for each combination of the members' row ids, each (n,); ``NONE`` where one is *unknown*."""
    keys = np.zeros(len(members[0]), np.int64)
    unknown = np.zeros(len(keys), bool)
    for ids, size in zip(members, sizes, strict=True):
        keys = keys * size + ids
        unknown |= np.asarray(ids) == UNKNOWN
    keys[unknown] = NONE
    return keys


def members_of(keys: Int64, sizes: Sequence[int]) -> tuple[Int64, ...]:
    """The members' row ids, each (n,), of keys (n,) that ``cross_keys`` gave."""
    ids: list[Int64] = []
    for size in reversed(sizes):
        ids.append(keys % size)
        keys = keys // size
    return tuple(reversed(ids))


def can_be_numbered(sizes: Sequence[int]) -> bool:
    """Whether every combination of members with so many rows has a number of its own."""
    return float(np.prod(np.array(sizes, np.float64))) < 2.0**63


def check_sizes(name: str, sizes: Sequence[int]) -> None:
    """Raise InputError where the combinations of members with so many rows are too many to number."""
    if not can_be_numbered(sizes):
        raise InputError(
            f"field '{name}': the members of the cross have {' x '.join(f'{size:,}' for size in sizes)} rows, more "
            "combinations than 2^63; give the members a 'min_count', 'max_size' or 'hash'"
        )


@dataclass(frozen=True, eq=False)
class Crosses:
    """The known combinations of one field: by rank, most frequent first, equals by their key."""

    keys: Int64
    """(v,), in rank order; combination ``i`` has row ``i + 2``."""
    counts: Int64
    """(v,), how often each occurs in the training rows."""

    @classmethod
    def ranked(cls, keys: Int64, counts: Int64, min_count: int, max_size: int | None) -> Crosses:
        """The combinations that are frequent enough, of distinct ``keys`` (v,) with their ``counts`` (v,)."""
        enough = np.flatnonzero(counts >= min_count)
        order = enough[np.lexsort((keys[enough], -counts[enough]))][:max_size]
        return cls(keys[order], counts[order])

    @property
    def rows(self) -> int:
        """Rows of the field: one a combination, and *unknown* and *missing* (never used: its members say it)."""
        return len(self.keys) + FIRST

    def encode(self, keys: Int64) -> Int32:
        """Row ids (n,) int32 of ``keys`` (n,); *unknown* where training rows never held the combination."""
        known, rows = self._by_key
        if not len(known):
            return np.full(len(keys), UNKNOWN, np.int32)
        places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
        return np.where(known[places] == keys, rows[places], np.int32(UNKNOWN))

    def write(self, path: Path) -> None:
        """Write as Parquet with the columns ``key`` and ``count``, in rank order."""
        with replacing(path) as temporary:
            pl.DataFrame({"key": self.keys, "count": self.counts}).write_parquet(temporary)

    @classmethod
    def read(cls, path: Path) -> Crosses:
        """Read what ``write`` wrote; raises InputError naming the file when it is missing or something else."""
        table = read_table(path, {"key": pl.Int64, "count": pl.Int64}, "the combinations of a cross")
        return cls(table["key"].to_numpy(), table["count"].to_numpy())

    @cached_property
    def _by_key(self) -> tuple[Int64, Int32]:
        """The keys ascending, and the row of each."""
        order = np.argsort(self.keys, kind="stable")
        return self.keys[order], (order + FIRST).astype(np.int32)


@dataclass(frozen=True)
class HashedCrosses:
    """A cross without a vocabulary: the combination's number, hashed."""

    size: int

    @property
    def rows(self) -> int:
        """Rows of the field."""
        return self.size + FIRST

    def encode(self, keys: Int64) -> Int32:
        """Row ids (n,) int32 of ``keys`` (n,)."""
        return np.where(keys == NONE, np.int32(UNKNOWN), hashed_numbers(keys, self.size))
