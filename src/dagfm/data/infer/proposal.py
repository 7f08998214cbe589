"""What was inferred about a click log: the label, the fields and the columns left out, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from dagfm.config.files import AS_SUFFIXES_SAY, FileOptions
from dagfm.schema import Encode, FieldType, Side


@dataclass(frozen=True)
class Column:
    """A column proposed as a field."""

    name: str
    type: FieldType
    why: str
    """One line: what was seen in the data that led to the type."""
    separator: str | None = None
    max_length: int | None = None
    size: int | None = None
    column: str | None = None
    """The column of the data, where the field has another name."""
    encode: Encode | None = None
    time_format: str | None = None
    warnings: tuple[str, ...] = ()
    """What may be wrong with the ids that the column holds; one line each."""


@dataclass(frozen=True)
class LeftOut:
    """A column that should not be a field."""

    name: str
    why: str
    type: FieldType | None = None
    """What it could be read as all the same; None where no type reads it."""


@dataclass(frozen=True)
class TimeColumn:
    """A column of points in time, which rows can be split by."""

    column: str
    time_format: str | None = None


@dataclass(frozen=True)
class Label:
    """The column that says click or no click, and the rule that reads it."""

    column: str
    why: tuple[str, ...]
    """One line each."""
    positive_from: float | None = None
    neutral: float | None = None
    """A value that says neither, which one may want to drop."""


@dataclass(frozen=True)
class Proposal:
    """Everything inferred from one file."""

    rows: int
    """Rows looked at."""
    whole: bool
    """Whether those were all rows."""
    label: Label
    columns: tuple[Column, ...]
    left_out: tuple[LeftOut, ...]
    tables: dict[str, str]
    """Side tables found beside the file, by key column."""
    sides: dict[str, tuple[Side, str]]
    """For some fields a side, and the word in the field's name that suggests it."""
    options: FileOptions = AS_SUFFIXES_SAY
    """How the file is read."""
    time: TimeColumn | None = None
    """The first column of points in time, if any."""
