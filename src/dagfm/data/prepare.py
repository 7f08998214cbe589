"""From a configuration to prepared data on disk, once: a second run with the same inputs finds it there."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from dagfm.config.models import Config
from dagfm.data.counts import row_counts
from dagfm.data.dataset import FORMAT, Dataset, Prepared, write_prepared
from dagfm.data.label import check_classes, labels
from dagfm.data.log import AbsentColumnError, identities, open_log, told
from dagfm.data.split import PARTS, random_split
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Float32
from dagfm.encoding.scale import vectors_of
from dagfm.encoding.values import BadValueError
from dagfm.errors import InputError
from dagfm.files import fingerprint
from dagfm.schema import Schema

log = logging.getLogger(__name__)

STORE = ".dagfm"
"""Folder beside a configuration that holds what can be made again."""
Progress = Callable[[str], None]


def prepare(config: Config, home: Path, progress: Progress | None = None) -> Prepared:
    """The prepared data of ``config``, written to ``home/.dagfm/prepared/<fingerprint>/`` unless it is there.

    ``progress`` is told each step. Raises InputError for everything wrong with the files, naming the place, and for
    prepared data that is damaged. A killed run leaves a temporary folder that the next run removes.
    """
    tell = progress or log.info
    key = prepared_fingerprint(config)
    store = home / STORE / "prepared"
    final = store / key
    store.mkdir(parents=True, exist_ok=True)
    with _lock(store, key):
        if final.exists():
            tell(f"prepared data {key} is there")
            return Prepared.open(final)
        unfinished = store / f".{key}.tmp"
        shutil.rmtree(unfinished, ignore_errors=True)
        _remove_leftovers(store)
        try:
            encoder, parts = _encode(config, home / STORE, tell)
            tell("writing prepared data")
            write_prepared(unfinished, key, encoder, parts, row_counts(parts["train"].rows, encoder))
            unfinished.rename(final)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return Prepared.open(final)


def prepared_fingerprint(config: Config) -> str:
    """What the prepared data depends on, hashed: the files, the ``data`` section, the fields, the layout's version."""
    paths = [*config.data.train, *(config.data.valid or ()), *(config.data.test or ())]
    return fingerprint(
        {
            "format": FORMAT,
            "data": config.data.model_dump(mode="json"),
            "schema": config.schema_.model_dump(mode="json"),
            "files": identities(paths, config.data.tables),
        }
    )


def _encode(config: Config, store: Path, tell: Progress) -> tuple[Encoder, dict[str, Dataset]]:
    data, schema = config.data, config.schema_
    tell(f"reading {told(data.train)}")
    tables = {"train": _labelled(config, data.train, store, tell)}
    if data.valid is not None and data.test is not None:
        tables |= {
            "valid": _labelled(config, data.valid, store, tell),
            "test": _labelled(config, data.test, store, tell),
        }
    else:
        frame, clicks = tables["train"]
        chosen = random_split(len(clicks), data.split.ratios, data.split.seed)
        tables = {part: (frame[rows], clicks[rows]) for part, rows in zip(PARTS, chosen, strict=True)}
    for part, (_, clicks) in tables.items():
        check_classes(clicks, f"the {part} part")
    tell(f"learning the vocabularies of {len(schema)} fields")
    encoder = Encoder.fit(schema, tables["train"][0], told(data.train))
    tell(f"encoding {sum(len(clicks) for _, clicks in tables.values()):,} rows")
    return encoder, {part: Dataset(encoder.encode(frame, part), clicks) for part, (frame, clicks) in tables.items()}


def _labelled(config: Config, paths: tuple[str, ...], store: Path, tell: Progress) -> tuple[pl.DataFrame, Float32]:
    """The kept rows of some files with their labels, float fields checked while file and row can still be named."""
    schema, label = config.schema_, config.data.label
    rows = open_log(paths, config.data.files, config.data.tables, store, tell)
    try:
        frame = rows.frame([*schema.names, label.column])
    except AbsentColumnError as error:
        role = "data.label.column" if error.column == label.column else "fields"
        raise InputError(f"{role}: {error}") from None
    try:
        _check_floats(schema, frame, rows.origin)
        kept, clicks = labels(frame, label, rows.origin)
    except BadValueError as error:
        raise InputError(f"{rows.locate(error.row)}: {error.problem}") from None
    return frame[kept], clicks


def _check_floats(schema: Schema, frame: pl.DataFrame, origin: str) -> None:
    for field in schema:
        if field.is_float:
            vectors_of(frame[field.name], field, origin)


def _lock(store: Path, key: str) -> FileLock:
    """Two runs that prepare the same data do it once: the second waits. The lock dies with its process."""
    return FileLock(store / f".{key}.lock")


def _remove_leftovers(store: Path) -> None:
    """Remove other preparations' temporary folders whose run is dead: those whose lock nobody holds."""
    for folder in store.glob(".*.tmp"):
        try:
            with _lock(store, folder.name[1:].removesuffix(".tmp")).acquire(timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
                log.info("removed %s, left by a run that was killed", folder)
        except Timeout:
            continue
