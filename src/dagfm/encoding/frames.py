"""Whatever rows a caller has, as one polars table."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, Protocol

import numpy as np
import polars as pl

from dagfm.encoding.columns import column
from dagfm.errors import InputError

ACCEPTED = "a polars, pandas or arrow table, a list of dicts or a dict of columns"


class ArrowTable(Protocol):
    """A pyarrow Table, as far as it is asked here: pyarrow itself is needed only by who brings one."""

    column_names: list[str]
    num_rows: int

    def select(self, columns: Sequence[str]) -> ArrowTable: ...

    def __arrow_c_stream__(self, requested_schema: object = None) -> object: ...


def arrow_table(rows: Any) -> ArrowTable | None:
    """``rows`` itself where it is a pyarrow Table that the kernel may read as it is: with columns, all named
    differently."""
    if not is_of(rows, "pyarrow", "Table"):
        return None
    found: ArrowTable = rows
    names = found.column_names
    return found if names and len(set(names)) == len(names) else None


def to_frame(rows: Any, origin: str = "rows") -> pl.DataFrame:
    """``rows`` as a polars table, one row a row, in the caller's order.

    Takes polars DataFrame and LazyFrame, pandas DataFrame, pyarrow Table and RecordBatch, a list of dicts (a key that
    some rows lack is null there) and a dict of columns. pandas and pyarrow are needed only by who brings their tables.
    Raises InputError naming ``origin`` for anything else, for columns of unequal length and for repeated names.
    """
    try:
        frame = _frame(rows, origin)
    except pl.exceptions.DuplicateError as error:
        raise InputError(f"{origin}: a column name occurs twice ({error})") from None
    objects = [name for name, kind in frame.schema.items() if kind == pl.Object]
    return frame.with_columns(column(name, frame[name].to_list()) for name in objects) if objects else frame


def _frame(rows: Any, origin: str) -> pl.DataFrame:
    if isinstance(rows, pl.DataFrame):
        return rows
    if isinstance(rows, pl.LazyFrame):
        return rows.collect()
    if isinstance(rows, Mapping):
        return _from_columns(rows, origin)
    if is_of(rows, "pandas", "DataFrame"):
        return _from_pandas(rows)
    if is_of(rows, "pyarrow", "Table") or is_of(rows, "pyarrow", "RecordBatch"):
        frame = pl.from_arrow(_without_dictionaries(rows))
        assert isinstance(frame, pl.DataFrame)
        return frame
    if isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        return _from_dicts(rows, origin)
    if isinstance(rows, str | PathLike):
        raise InputError(f"{origin}: got the path {str(rows)!r}, expected {ACCEPTED}; 'dagfm predict' scores files")
    raise InputError(f"{origin}: got {type(rows).__name__}, expected {ACCEPTED}")


def is_of(value: Any, module: str, name: str) -> bool:
    """Whether ``value`` is a ``module.name``; a module that nobody imported cannot have made it."""
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)


def _without_dictionaries(rows: Any) -> Any:
    """The same values; of dictionaries polars would make categories, which it keeps for the process."""
    for index, field in enumerate(rows.schema):
        if hasattr(field.type, "index_type"):
            rows = rows.set_column(index, field.name, rows.column(index).cast(field.type.value_type))
    return rows


def _from_dicts(rows: Sequence[Any], origin: str) -> pl.DataFrame:
    names: dict[Any, None] = {}
    for index, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise InputError(f"{origin}: item {index + 1} is {type(row).__name__}, expected a dict for each row")
        names.update(dict.fromkeys(row))
    if rows and not names:
        raise InputError(f"{origin}: row 1 is empty, expected a value for every field")
    return _table({name: [row.get(name) for row in rows] for name in names}, origin)


def _from_columns(columns: Mapping[Any, Any], origin: str) -> pl.DataFrame:
    for name, values in columns.items():
        if values is None or isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise InputError(
                f"{origin}: column '{name}' is the single value {values!r}, expected one value a row; "
                "wrap one row in a list: [row]"
            )
    sizes = {name: len(values) for name, values in columns.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise InputError(f"{origin}: columns differ in length: {told}")
    return _table(columns, origin)


def _from_pandas(frame: Any) -> pl.DataFrame:
    names = [str(name) for name in frame.columns]
    series = [pandas_column(name, frame.iloc[:, index]) for index, name in enumerate(names)]
    return pl.DataFrame(series)


def pandas_column(name: str, series: Any) -> pl.Series:
    """A pandas series (n,) as a column called ``name``, null where pandas says missing; raises as ``column``."""
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return pl.Series(name, series.to_numpy())
    if series.dtype == "str" and getattr(series.dtype, "storage", None) == "pyarrow":
        texts = pl.from_arrow(series.array.__arrow_array__())
        assert isinstance(texts, pl.Series)
        return texts.alias(name)
    # Not polars' own conversion: it needs pyarrow and fails on a column that holds 5 and "5".
    cells, missing = series.astype(object).tolist(), series.isna().to_numpy()
    return column(name, [None if gone else cell for cell, gone in zip(cells, missing, strict=True)])


def _table(columns: Mapping[Any, Any], origin: str) -> pl.DataFrame:
    made = [_column(str(name), values) for name, values in columns.items()]
    try:
        return pl.DataFrame(made)
    except pl.exceptions.ShapeError as error:
        raise InputError(f"{origin}: columns differ in length ({error})") from None


def _column(name: str, values: Any) -> pl.Series:
    if isinstance(values, pl.Series):
        return values.alias(name)
    if isinstance(values, np.ndarray) and values.ndim == 1 and values.dtype.kind in "biufM":
        return pl.Series(name, values)
    if is_of(values, "pandas", "Series"):
        return pandas_column(name, values)
    if is_of(values, "pyarrow", "Array") or is_of(values, "pyarrow", "ChunkedArray"):
        series = pl.from_arrow(values)
        assert isinstance(series, pl.Series)
        return series.alias(name)
    return column(name, values.tolist() if isinstance(values, np.ndarray) else values)
