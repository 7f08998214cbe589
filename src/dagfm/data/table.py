"""The columns that are asked for, from the click log and its side tables."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import polars as pl

from dagfm.data.formats import SUFFIXES
from dagfm.data.read import collect, scan, told
from dagfm.encoding.values import token_text
from dagfm.errors import InputError, listed, suggestion

log = logging.getLogger(__name__)


class AbsentColumnError(InputError):
    """The column ``column`` is asked for and in none of the files."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column


NO_TABLES: Mapping[str, str] = MappingProxyType({})
_KEY = "\0key"
"""Name of the joined key's text, which no column has."""


def load_table(
    names: Iterable[str], paths: tuple[str, ...], format: str | None = None, tables: Mapping[str, str] = NO_TABLES
) -> pl.DataFrame:
    """The columns ``names`` of the files ``paths``, every row in order, with side tables joined by key.

    ``tables``: files by the key column that joins them. From text formats every column is read as text: what it means
    is the encoder's to say. Raises InputError naming the column, the files looked
    in and their columns where one is found nowhere or in two places, and the key where a side table has it twice.
    """
    names = list(dict.fromkeys(names))
    origin = told(paths)
    main = scan(paths, format, {*names, *tables})
    columns = main.collect_schema().names()
    sides = {key: scan((path,), _format(path, format), {*names, key}) for key, path in tables.items()}
    found = {key: side.collect_schema().names() for key, side in sides.items()}
    for key, path in tables.items():
        for place, there in ((origin, columns), (path, found[key])):
            if key not in there:
                raise InputError(f"{place}: key column '{key}' of table {path} is missing; columns: {listed(there)}")
    own, joined = _places(names, {origin: columns} | {tables[key]: found[key] for key in tables}, tables)
    frame = collect(main.select(list(dict.fromkeys([*own, *joined]))), origin)
    for key, wanted in joined.items():
        frame = _join(frame, collect(sides[key].select([key, *wanted]), tables[key]), key, tables[key])
    return frame.select(names)


def _format(path: str, format: str | None) -> str | None:
    """A side table may be of another format than the log: its suffix counts where it says something."""
    return None if Path(path).suffix.lower() in SUFFIXES else format


def _places(
    names: Sequence[str], found: Mapping[str, Sequence[str]], tables: Mapping[str, str]
) -> tuple[list[str], dict[str, list[str]]]:
    """Which columns the log itself has, and which come by which key. One that two files have is refused, not guessed;
    a key is the log's own."""
    origin, *_ = found
    own: list[str] = []
    joined: dict[str, list[str]] = {}
    for name in names:
        if name in tables:
            own.append(name)
            continue
        places = [place for place, columns in found.items() if name in columns]
        if not places:
            known = [column for columns in found.values() for column in columns]
            looked = "; ".join(f"{place} has {listed(columns)}" for place, columns in found.items())
            raise AbsentColumnError(
                name, f"column '{name}' is in none of the files: {looked}.{suggestion(name, known)}"
            )
        if len(places) > 1:
            raise InputError(f"column '{name}' is in {' and in '.join(places)}; rename or remove one")
        if places[0] == origin:
            own.append(name)
        else:
            joined.setdefault(next(key for key, path in tables.items() if path == places[0]), []).append(name)
    return own, joined


def _join(frame: pl.DataFrame, side: pl.DataFrame, key: str, path: str) -> pl.DataFrame:
    """``frame`` with the columns of ``side``, null where the key is not there; keys are compared as token texts."""
    side = side.drop(key).with_columns(token_text(side[key]).alias(_KEY)).drop_nulls(_KEY)
    keys = side[_KEY]
    repeated = keys.is_duplicated()
    if repeated.any():
        raise InputError(f"{path}: key '{key}' {keys.filter(repeated)[0]!r} occurs twice, expected once")
    frame = frame.with_columns(token_text(frame[key]).alias(_KEY))
    unmatched = frame.height - int(frame[_KEY].is_in(keys.implode()).sum())
    if unmatched:
        log.warning("%s: %d of %d rows have a '%s' that is not in it", path, unmatched, frame.height, key)
    return frame.join(side, on=_KEY, how="left", maintain_order="left").drop(_KEY)
