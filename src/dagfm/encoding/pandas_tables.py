"""Tables of pandas as Arrow columns that the kernel reads as they lie, without a copy by way of polars."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from dagfm.encoding.frames import is_of, pandas_column


def pandas_table(rows: Any, names: Sequence[str]) -> Any:
    """The columns of these names as a pyarrow table; None where one lacks or ``rows`` is no table of pandas, or without
    pyarrow.

    What the columns hold is what ``to_frame`` makes of them.
    """
    pyarrow = sys.modules.get("pyarrow")
    if pyarrow is None or not is_of(rows, "pandas", "DataFrame"):
        return None
    found = rows.columns.tolist()
    fit = all(type(name) is str for name in found) and len(set(found)) == len(found) and set(names) <= set(found)
    return pyarrow.table([_column(pyarrow, name, rows[name]) for name in names], names=names) if fit else None


def _column(pyarrow: Any, name: str, series: Any) -> Any:
    kind, storage = series.dtype, getattr(series.dtype, "storage", None)
    plain = kind.kind if isinstance(kind, np.dtype) else None
    if plain is not None and plain in "biuf":
        return pyarrow.array(series.to_numpy())
    if storage == "pyarrow" and hasattr(series.array, "__arrow_array__"):
        return series.array.__arrow_array__()
    if plain == "O" or storage == "python":
        try:
            return pyarrow.array(series.to_numpy(), pyarrow.large_string(), from_pandas=True)
        except (TypeError, ValueError):
            pass  # not texts alone
    return pyarrow.chunked_array(pandas_column(name, series))
