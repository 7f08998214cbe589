"""The files of a configuration, opened, and what of them decides where their prepared data lies."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagfm.config.models import Config
from dagfm.data.dataset import FORMAT
from dagfm.data.log import AbsentColumnError, Log, check_alike, identities, open_log
from dagfm.data.split import TEST, TRAIN, VALID
from dagfm.errors import InputError
from dagfm.files import fingerprint
from dagfm.progress import Progress


@dataclass(frozen=True)
class Inputs:
    """The opened logs of training rows and, where they are given, of validation and test rows."""

    logs: list[tuple[Log, int | None]]
    """Each with the part its rows belong to; None where the split says."""

    def unmatched(self) -> dict[str, int]:
        """Rows of all files whose key is in no row of a side table, by key."""
        found: dict[str, int] = {}
        for one, _ in self.logs:
            for key, rows in one.unmatched.items():
                found[key] = found.get(key, 0) + rows
        return found


def open_inputs(config: Config, store: Path, progress: Progress) -> Inputs:
    """Open all files of ``config``; text is converted to Parquet below ``store`` unless that is done.

    Raises InputError for a file that is missing or cannot be read, and naming the key for a column that no file has.
    """
    data = config.data
    train = open_log(data.train, data, data.tables, store, progress.line)
    free = data.test is None or data.valid is None
    logs: list[tuple[Log, int | None]] = [(train, None if free else TRAIN)]
    given: tuple[tuple[tuple[str, ...] | None, int], ...] = ((data.valid, VALID), (data.test, TEST))
    for paths, part in given:
        if paths is not None:
            logs.append((open_log(paths, data, data.tables, store, progress.line), part))
    for one, place in logs:
        _check_columns(config, one, place)
    for other, place in logs[1:]:
        check_alike(train, other, [column for column, _ in _needed(config, place)])
    return Inputs(logs)


def prepared_fingerprint(config: Config) -> str:
    """What the prepared data depends on, hashed: the files, the ``data`` section, the fields, the layout's version."""
    data = config.data
    made_from: dict[str, Any] = {
        "format": FORMAT,
        "data": config.data.model_dump(mode="json"),
        "schema": config.schema_.model_dump(mode="json"),
        "files": identities([*data.train, *(data.valid or ()), *(data.test or ())], data.tables),
    }
    if config.scores is not None:
        # Only where it is set: what was prepared for networks serves all of them.
        table = config.scores.table
        files = identities([table.path]) if table is not None else []
        made_from["scores"] = {**config.scores.definition, "files": files}
    return fingerprint(made_from)


def _needed(config: Config, part: int | None) -> list[tuple[str, str]]:
    """Columns that the rows of a part must have, each with the key that asks for it."""
    data = config.data
    needed = [(column, "fields") for column in config.schema_.columns]
    for key in ("column", "clicks", "impressions"):
        if (column := getattr(data.label, key)) is not None:
            needed.append((column, f"data.label.{key}"))
    if data.weight is not None:
        needed.append((data.weight, "data.weight"))
    if part is None and data.split.column is not None:
        needed.append((data.split.column, "data.split.column"))
    return needed


def _check_columns(config: Config, one: Log, part: int | None) -> None:
    for column, key in _needed(config, part):
        try:
            one.check([column])
        except AbsentColumnError as error:
            raise InputError(f"{key}: {error}") from None
