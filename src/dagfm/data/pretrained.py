"""Vectors that somebody else has made for ids, from Parquet or NumPy files; no pickle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.encoding.rows import Float32
from dagfm.encoding.values import token_text
from dagfm.errors import InputError, listed, suggestion
from dagfm.files import digest, fingerprint
from dagfm.schema import Pretrained

_CHUNK = 1 << 16


@dataclass(frozen=True, eq=False)
class Vectors:
    """A vector for each of n different ids."""

    ids: pl.Series
    """(n,) String, token texts."""
    values: NDArray[Any]
    """(n, d) numbers; memory-mapped where the file allows it."""

    def take(self, chosen: NDArray[np.integer]) -> Float32:
        """Some of the vectors, (m, d)."""
        return np.take(self.values, chosen, axis=0).astype(np.float32, copy=False)


def content(source: Pretrained) -> str:
    """What a file of vectors holds, as a short hash; raises InputError when it is not there."""
    files = [Path(source.path), *([Path(str(source.ids))] if source.is_array else [])]
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: no such file")
    return fingerprint([*(digest(file) for file in files), None if source.is_array else source.ids])


def read_vectors(source: Pretrained) -> Vectors:
    """The vectors and their ids; raises InputError naming the file, and the row or id, for everything wrong with it."""
    path = Path(source.path)
    if source.is_array:
        ids, origin = _ids_beside(Path(str(source.ids))), str(source.ids)
        values = _array(path)
        if values.ndim != 2 or values.dtype.kind not in "fiu":
            raise InputError(f"{path}: an array of shape {values.shape} of {values.dtype}, expected (n, d) numbers")
        if len(ids) != len(values):
            raise InputError(f"{path}: {len(values)} vectors, but {origin} holds {len(ids)} ids")
    else:
        ids, values = _from_parquet(path, source.ids or "id")
        origin = str(path)
    if not values.size:
        raise InputError(f"{path}: holds no vectors")
    texts = token_text(ids)
    _check_ids(texts, origin)
    for start in range(0, len(values), _CHUNK):
        bad = ~np.isfinite(values[start : start + _CHUNK]).all(axis=1)
        if bad.any():
            row = start + int(bad.argmax())
            raise InputError(f"{path}: the vector of id '{texts[row]}' (row {row + 1}) holds NaN or infinity")
    return Vectors(texts, values)


def _from_parquet(path: Path, column: str) -> tuple[pl.Series, NDArray[Any]]:
    try:
        table = pl.read_parquet(path, memory_map=False)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: cannot be read as Parquet ({error})") from None
    if column not in table.columns:
        near = suggestion(column, table.columns)
        raise InputError(f"{path}: no column '{column}' with the ids; columns found: {listed(table.columns)}.{near}")
    ids, vectors = table[column], table.drop(column)
    lists = [name for name, kind in vectors.schema.items() if isinstance(kind, pl.List | pl.Array)]
    if len(lists) == 1 and vectors.width == 1:
        return ids, _from_lists(vectors[lists[0]], path)
    other = [name for name, kind in vectors.schema.items() if not kind.is_numeric()]
    if other or not vectors.width:
        raise InputError(
            f"{path}: expected beside '{column}' one column of lists, or columns of numbers; found: "
            f"{listed(other or ['nothing'])}"
        )
    missing = [name for name in vectors.columns if vectors[name].null_count()]
    if missing:
        raise InputError(f"{path}: column '{missing[0]}' has empty cells, expected a number in each")
    return ids, vectors.to_numpy().astype(np.float32)


def _from_lists(series: pl.Series, path: Path) -> NDArray[Any]:
    if series.dtype.inner.is_numeric() is False:  # type: ignore[attr-defined]
        raise InputError(f"{path}: column '{series.name}' holds {series.dtype}, expected lists of numbers")
    lengths = series.list.len() if isinstance(series.dtype, pl.List) else series.arr.len()
    width = lengths.max()
    wrong = (lengths != width).fill_null(True).arg_max()
    if wrong is not None and lengths[wrong] != width:
        raise InputError(f"{path}: row {wrong + 1}: a vector of {lengths[wrong] or 0} numbers, others have {width!r}")
    flat = series.explode().cast(pl.Float32)
    if flat.null_count():
        raise InputError(f"{path}: column '{series.name}' has vectors with empty numbers")
    return flat.to_numpy().reshape(len(series), -1)


def _ids_beside(path: Path) -> pl.Series:
    """The ids of an array's vectors, in their order."""
    if path.suffix == ".npy":
        array = _array(path)
        if array.ndim != 1 or array.dtype.kind not in "USiu":
            raise InputError(
                f"{path}: an array of shape {array.shape} of {array.dtype}, expected (n,) texts or integers"
            )
        return pl.Series("id", np.char.decode(array, "utf-8") if array.dtype.kind == "S" else np.array(array))
    try:
        if path.suffix == ".parquet":
            table = pl.read_parquet(path, memory_map=False)
            if table.width != 1:
                raise InputError(f"{path}: columns {listed(table.columns)}, expected one with the ids")
            return table.to_series()
        lines = path.read_text(encoding="utf-8").split("\n")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    if lines[-1] == "":
        lines.pop()
    return pl.Series("id", [line.removesuffix("\r") for line in lines], dtype=pl.String)


def _array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
        return array
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError) as error:
        if any(word in str(error).lower() for word in ("object", "pickle")):
            raise InputError(f"{path}: a pickled array, which could run code; save plain numbers or texts") from None
        raise InputError(f"{path}: not an array ({error})") from None


def _check_ids(texts: pl.Series, origin: str) -> None:
    empty = texts.is_null().arg_max()
    if texts.null_count() and empty is not None:
        raise InputError(f"{origin}: row {empty + 1}: an empty id")
    if texts.n_unique() < len(texts):
        twice = texts.filter(texts.is_duplicated())[0]
        rows = [str(row + 1) for row in (texts == twice).arg_true().head(3).to_list()]
        raise InputError(f"{origin}: id '{twice}' is there more than once (rows {', '.join(rows)})")
