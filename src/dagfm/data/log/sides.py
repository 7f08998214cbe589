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
    """Some columns of a side table, by the columns that are its key."""

    def __init__(self, table: Log, keys: Sequence[str], columns: Sequence[str]) -> None:
        """Read the table. Raises InputError where a key is there twice."""
        self.keys, self.columns = tuple(keys), tuple(columns)
        parts = list(table.batches(list(dict.fromkeys([*keys, *columns])), _BATCH))
        # One dictionary a column: a batch of the log then takes numbers, not text.
        rows = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
        texts = _joined([key_text(rows[name]) for name in keys])
        present = texts.is_not_null()
        repeated = present & texts.is_duplicated()
        if (row := repeated.arg_max()) is not None and repeated[row]:
            again = ", ".join(f"'{name}' {key_text(rows[name])[row]!r}" for name in keys)
            raise InputError(f"{table.origin}: key {again} occurs twice, expected once")
        self._keys = _texts(texts.filter(present))
        self._rows = rows.filter(pa.array(present.to_numpy())).combine_chunks()

    def join(self, keys: Sequence[pa.ChunkedArray]) -> tuple[list[pa.ChunkedArray], pa.Array]:
        """The columns for the rows whose keys are given, a column each, and where in the table these keys are; null
        where they are not."""
        column = keys[0] if len(keys) == 1 else _as_column(_joined([key_text(one) for one in keys]))
        coded = (column if pa.types.is_dictionary(column.type) else column.dictionary_encode()).unify_dictionaries()
        found = pa.chunked_array([self._places(chunk) for chunk in coded.chunks], pa.int32()).combine_chunks()
        return [self._rows[name].take(found) for name in self.columns], found

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


def _joined(texts: list[pl.Series]) -> pl.Series:
    """One text for the texts of several columns, null where one of them is; different ones never become the same."""
    if len(texts) == 1:
        return texts[0]
    frame = pl.DataFrame([text.alias(str(index)) for index, text in enumerate(texts)])
    sized = [pl.concat_str([pl.col(name).str.len_bytes().cast(pl.String), pl.col(name)], separator=":")
             for name in frame.columns]  # fmt: skip
    return frame.select(pl.concat_str(sized)).to_series()


def _as_column(texts: pl.Series) -> pa.ChunkedArray:
    return pa.chunked_array([_texts(texts)])


def _texts(series: pl.Series) -> pa.Array:
    return pa.concat_arrays([pa.array([], TEXT), *(series.to_arrow().cast(TEXT),)])
