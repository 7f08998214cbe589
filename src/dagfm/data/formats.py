"""The file formats that can be read: one function each, from a path to a lazy table."""

from __future__ import annotations

from collections.abc import Callable, Set
from pathlib import Path

import polars as pl

from dagfm.data.text import check_header, check_lines
from dagfm.errors import InputError, listed, suggestion


def scan_file(path: Path, format: str | None, text: Set[str]) -> pl.LazyFrame:
    """One file as a lazy table; ``format`` overrides what the suffix says.

    Columns in ``text`` are read as text from text formats, so that 007 stays 007; the types of others are inferred.
    Raises InputError naming the file when it is missing, of an unknown format, empty, or not a table.
    """
    if path.is_dir():
        raise InputError(f"{path}: a folder, expected a file or a glob such as {path / '*.parquet'}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    name = format or SUFFIXES.get(path.suffix.lower())
    if name is None:
        raise InputError(f"{path}: unknown suffix '{path.suffix}'; valid: {listed(SUFFIXES)}; or set 'format'")
    if name not in FORMATS:
        raise InputError(f"{path}: unknown format '{name}'; valid: {listed(FORMATS)}.{suggestion(name, FORMATS)}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: the file is empty, expected rows")
    return FORMATS[name](path, text)


def _parquet(path: Path, text: Set[str]) -> pl.LazyFrame:
    try:
        frame = pl.scan_parquet(path, glob=False)
        rows = frame.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise InputError(f"{path}: not a Parquet file, or a damaged one ({error})") from None
    if not rows:
        raise InputError(f"{path}: the table has no rows")
    return frame


def _csv(path: Path, text: Set[str]) -> pl.LazyFrame:
    return _separated(path, ",", '"', text)


def _tsv(path: Path, text: Set[str]) -> pl.LazyFrame:
    return _separated(path, "\t", '"', text)


def _recbole(path: Path, text: Set[str]) -> pl.LazyFrame:
    """RecBole atomic files: ``name:type`` headers, tabs, no quoting, sequences as text cut at spaces."""
    typed = check_header(path, "\t", None)
    kinds = dict(header.rpartition(":")[::2] for header in typed)
    for header in typed:
        name, _, kind = header.rpartition(":")
        if not name or kind not in ("token", "token_seq", "float", "float_seq"):
            raise InputError(f"{path}: header '{header}', expected name:type with token, token_seq, float or float_seq")
    if len(kinds) < len(typed):
        raise InputError(f"{path}: a column name occurs twice in {listed(typed)}")
    typed_text = {f"{name}:{kind}" for name, kind in kinds.items() if name in text or kind != "float"}
    frame = _separated(path, "\t", None, typed_text).rename({f"{name}:{kind}": name for name, kind in kinds.items()})
    return frame.with_columns(pl.col(name).str.split(" ") for name, kind in kinds.items() if kind.endswith("_seq"))


def _separated(path: Path, separator: str, quote: str | None, text: Set[str]) -> pl.LazyFrame:
    names = check_header(path, separator, quote)
    check_lines(path, separator, quote, len(names))
    return pl.scan_csv(
        path,
        separator=separator,
        quote_char=quote,
        schema_overrides={name: pl.String for name in names if name in text},
        infer_schema_length=10_000,
        glob=False,
    )


FORMATS: dict[str, Callable[[Path, Set[str]], pl.LazyFrame]] = {
    "parquet": _parquet,
    "csv": _csv,
    "tsv": _tsv,
    "recbole": _recbole,
}

SUFFIXES = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".inter": "recbole",
    ".user": "recbole",
    ".item": "recbole",
}
