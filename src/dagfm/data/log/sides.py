"""Side tables: held in memory, joined to the log batch by batch on the distinct keys of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from dagfm.data.log.kinds import CODED_TEXT, TEXT
from dagfm.encoding.values import token_text
from dagfm.errors import InputError

if TYPE_CHECKING:
    from dagfm.data.log.log import Log

_BATCH = 1 << 18


class Side:
    """Some columns of a side table, by key."""

    def __init__(self, table: Log, key: str, columns: Sequence[str]) -> None:
        """Read the table. Raises InputError where a key is there twice."""
        self.key, self.columns = key, tuple(columns)
        parts = list(table.batches([key, *(name for name in columns if name != key)], _BATCH))
        # One dictionary a column: a batch of the log then takes numbers, not text.
        rows = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
        keys = key_text(rows[key])
        repeated = keys.drop_nulls().is_duplicated()
        if repeated.any():
            again = keys.drop_nulls().filter(repeated)[0]
            raise InputError(f"{table.origin}: key '{key}' {again!r} occurs twice, expected once")
        present = keys.is_not_null()
        self._keys = _texts(keys.filter(present))
        self._rows = rows.filter(pa.array(present.to_numpy())).combine_chunks()

    def join(self, keys: pa.ChunkedArray) -> tuple[list[pa.ChunkedArray], int]:
        """The columns for the rows whose keys are given, null where a key is not there, and how many rows those are."""
        coded = (keys if pa.types.is_dictionary(keys.type) else keys.dictionary_encode()).unify_dictionaries()
        found = pa.chunked_array([self._places(chunk) for chunk in coded.chunks], pa.int32()).combine_chunks()
        return [self._rows[name].take(found) for name in self.columns], found.null_count

    def _places(self, keys: pa.DictionaryArray) -> pa.Array:
        texts = key_text(pa.chunked_array([keys.dictionary]))
        places = pc.index_in(_texts(texts), value_set=self._keys)
        return places.take(keys.indices)


def key_text(keys: pa.ChunkedArray) -> pl.Series:
    """What keys are compared by: their token text."""
    if keys.type == CODED_TEXT:
        keys = keys.cast(TEXT)
    series = pl.from_arrow(keys)
    assert isinstance(series, pl.Series)
    return token_text(series)


def _texts(series: pl.Series) -> pa.Array:
    return pa.concat_arrays([pa.array([], TEXT), *(series.to_arrow().cast(TEXT),)])
