"""What is to be described: the files and fields of a configuration, or all that a data file holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dagfm.config import load_config
from dagfm.config.files import FileOptions
from dagfm.config.models import Config
from dagfm.data.infer import Column, Proposal, inspect
from dagfm.data.infer.labels import is_outcome
from dagfm.schema import TIME_PARTS
from dagfm.schema import Field as SchemaField

CONFIGURATIONS = (".yaml", ".yml")
CELLS = 4_000_000
"""Types are guessed from a smaller sample than ``dagfm init`` takes: all rows are read afterwards anyway."""


@dataclass(frozen=True)
class Time:
    """The column that orders rows in time."""

    column: str
    format: str | None = None


@dataclass(frozen=True)
class Subject:
    """Files, label, split and fields as a configuration; and what stands in none."""

    source: str
    home: Path
    """The folder whose ``.dagfm`` holds converted text."""
    config: Config
    configured: bool
    """Whether a configuration says so; else it is inferred, and the split is the default."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Of an inferred one: why ``dagfm init`` would not make a field of a column, whether it is described or not."""
    warnings: dict[str, tuple[str, ...]] = field(default_factory=dict)
    time: Time | None = None

    @property
    def outcomes(self) -> list[str]:
        """Fields with the name of something that is known only after the click."""
        return [one.name for one in self.config.fields if one.cross is None and is_outcome(one.source)]


def of_config(path: Path, overrides: list[str]) -> Subject:
    """What a YAML configuration says."""
    config = load_config(path, overrides)
    return Subject(str(path), path.resolve().parent, config, configured=True, time=_time(config))


def of_file(path: str, label: str | None, options: FileOptions) -> Subject:
    """All columns of a data file, typed as ``dagfm init`` does; a column that it leaves out is described all the same.

    Raises InputError where there are no rows, or no usable label.
    """
    proposal = inspect(path, label, options, CELLS)
    named: dict[str, str | float] = {"column": proposal.label.column}
    if proposal.label.positive_from is not None:
        named["positive_from"] = proposal.label.positive_from
    fields = [_field(column) for column in proposal.columns]
    taken = {one.name for one in fields}
    for column in proposal.left_out:
        if column.type is not None and column.name not in taken:
            fields.append(
                SchemaField(name=column.name, type=column.type, size=1 if column.type == "float_seq" else None)
            )
    how = options.model_dump(exclude_unset=True)
    data: dict[str, Any] = {"train": path, "tables": proposal.tables, "label": named, **how}
    config = load_config({"data": data, "fields": [one.model_dump() for one in fields]})
    left_out = {column.name: column.why for column in proposal.left_out}
    warnings = {column.name: column.warnings for column in proposal.columns if column.warnings}
    return Subject(path, Path.cwd(), config, False, left_out, warnings, _inferred_time(proposal))


def _field(column: Column) -> SchemaField:
    keys = ("name", "type", "separator", "size", "column", "encode", "time_format")
    return SchemaField(**{key: value for key in keys if (value := getattr(column, key)) is not None})


def _time(config: Config) -> Time | None:
    split = config.data.split
    if split.by == "time" and split.column is not None:
        return Time(split.column, split.time_format)
    for one in config.fields:
        if one.encode in TIME_PARTS:
            return Time(one.source, one.time_format)
    return None


def _inferred_time(proposal: Proposal) -> Time | None:
    return Time(proposal.time.column, proposal.time.time_format) if proposal.time is not None else None
