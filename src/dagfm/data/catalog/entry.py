"""The words in which a data set is described: layouts of files, editions (sets of files), variants of a protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

MAIN_ROLES = ("train", "valid", "test")
"""Roles of files with rows to learn from or to judge by; other roles are keys that join a side table."""


@dataclass(frozen=True)
class Cell:
    """What a cell of a column holds: a pattern for all of its text, and how a message calls it."""

    pattern: str
    words: str


@dataclass(frozen=True)
class Layout:
    """What one file looks like, so that it can be told from its first lines."""

    title: str
    """How messages call the file: ``Criteo's original train.txt``."""
    columns: tuple[str, ...]
    """Names in the header, of which others may stand beside; or, without a header, of all columns in their order."""
    separator: str = ","
    header: bool = True
    format: str = "csv"
    """As ``data.format`` of a configuration calls it."""
    encoding: str = "utf-8"
    cells: Mapping[str, Cell] = field(default_factory=dict)
    """What tells the file from others of equal columns: every cell of the first lines fits."""
    advice: str = ""
    """For a file that no recipe reads, or another data set's: what to do."""

    @property
    def shape(self) -> str:
        """The layout in words."""
        between = {",": "commas", "\t": "tabs", " ": "spaces"}.get(self.separator, f"'{self.separator}'")
        names = ",".join(self.columns) if len(self.columns) < 12 else f"{','.join(self.columns[:6])},..."
        how = f"with the header {names}" if self.header else f"without a header ({names})"
        return f"text {how}: {len(self.columns)} columns separated by {between}"


@dataclass(frozen=True)
class Part:
    """One file of an edition."""

    layout: Layout
    usual: str
    """The file's usual name, looked for beside the files that are given."""
    rows: int | None = None
    """How many rows the whole file has."""
    derived: Callable[[bytes], pl.DataFrame] | None = None
    """For a side table that cannot be read as it is: from the file's bytes to the table that is written beside the
    configuration."""


@dataclass(frozen=True)
class Edition:
    """Files that together are the data set, by role: train, valid and test, or the key that joins a side table."""

    parts: Mapping[str, Part]
    label: Mapping[str, Any]
    """``data.label`` of the configuration."""
    note: str = ""
    """What is particular about a run on these files."""

    @property
    def main(self) -> dict[str, Part]:
        """The files that hold rows."""
        return {role: part for role, part in self.parts.items() if role in MAIN_ROLES}


@dataclass(frozen=True)
class Variant:
    """One protocol on the data set: its fields, the size of the embedding and what others reached."""

    title: str
    size: int
    """Numbers of a field's vector."""
    fields: tuple[Mapping[str, Any] | str, ...]
    """``fields`` of the configuration, with comments between them."""
    published: Mapping[str, tuple[str, str]]
    """Test AUC and logloss by model, as published."""
    notes: tuple[str, ...] = ()
    """What to know when a run is compared with those figures."""


@dataclass(frozen=True)
class Wheel:
    """Files within a wheel of a package registry."""

    requirement: str
    folder: str
    checksums: Mapping[str, str]
    """SHA-256 by file name."""


@dataclass(frozen=True)
class DataSet:
    """One entry of the catalog."""

    name: str
    title: str
    rows: int
    source: tuple[str, ...]
    """Where a user gets the files, and what to do with them; one step a line."""
    terms: str
    """Licence or terms of use, and what to cite."""
    editions: tuple[Edition, ...]
    """Sets of files that the recipe reads; the first is the usual one."""
    variants: Mapping[str, Variant]
    """By name, the usual one first."""
    wheel: Wheel | None = None
    """Where ``dagfm data get`` gets the files; None where no package registry has them."""
    instead: str = ""
    """Another way to get it."""
    others: tuple[Layout, ...] = ()
    """Files that are easily mistaken for the right ones."""

    @property
    def fields(self) -> int:
        """How many fields the usual protocol has."""
        return sum(not isinstance(one, str) for one in next(iter(self.variants.values())).fields)
