"""Tables of pandas as Arrow columns that the kernel reads as they lie, without a copy by way of polars."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagfm.encoding.frames import is_of, pandas_column
from dagfm.kernel.texts import joined


def pandas_table(rows: Any, names: Sequence[str]) -> Any:
    """The columns of these names as a pyarrow table; None where one lacks or ``rows`` is no table of pandas, or without
    pyarrow.

    What the columns hold is what ``to_frame`` makes of them.
    """
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not is_of(rows, "pandas", "DataFrame"):
        return None
    places = {name: place for place, name in enumerate(rows.columns.tolist())}
    if len(places) < rows.shape[1] or any(type(name) is not str for name in places) or not places.keys() >= set(names):
        return None
    return pyarrow.table([_column(pyarrow, rows, name, places[name]) for name in names], names=names)


def _column(pyarrow: Any, rows: Any, name: str, place: int) -> Any:
    # Without a Series, which pandas makes more slowly than the kernel reads a column of a thousand texts; its own name
    # for that is no promise.
    direct = getattr(rows, "_get_column_array", None)
    found = _array(pyarrow, rows.iloc[:, place].values if direct is None else direct(place))
    return pyarrow.chunked_array(pandas_column(name, rows.iloc[:, place])) if found is None else found


def _array(pyarrow: Any, cells: Any) -> Any:
    """What a column holds, in Arrow; None where only ``pandas_column`` knows what that is."""
    kind, storage, pandas = cells.dtype, getattr(cells.dtype, "storage", None), sys.modules["pandas"]
    plain = kind.kind if isinstance(kind, np.dtype) else None
    if plain is not None and plain in "biuf":
        return pyarrow.array(cells)
    if plain == "O" or storage == "python":
        texts = joined(np.asarray(cells, object), pandas.NA)
        if texts is None:
            return None
        valid, offsets, data = map(pyarrow.py_buffer, texts)
        return pyarrow.LargeStringArray.from_buffers(len(cells), offsets, data, valid)
    if isinstance(kind, pandas.CategoricalDtype) and len(kind.categories) <= len(cells):
        return _coded(pyarrow, cells.codes, _array(pyarrow, kind.categories.values))
    nullable = pandas.arrays.IntegerArray, pandas.arrays.FloatingArray, pandas.arrays.BooleanArray
    return cells.__arrow_array__() if storage == "pyarrow" or isinstance(cells, nullable) else None


def _coded(pyarrow: Any, codes: Any, texts: Any) -> Any:
    """A column of codes into texts, a code below 0 missing; None where they are no texts."""
    if texts is None or not (pyarrow.types.is_string(texts.type) or pyarrow.types.is_large_string(texts.type)):
        return None
    whole = texts.combine_chunks() if isinstance(texts, pyarrow.ChunkedArray) else texts
    return pyarrow.DictionaryArray.from_arrays(pyarrow.array(codes, mask=codes < 0), whole)
