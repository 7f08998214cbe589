"""From a user's files to the configuration of the public protocol: checked, counted, written with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from dagfm.data.catalog.choose import Source, choose
from dagfm.data.catalog.entry import DataSet, Edition, Part, Variant
from dagfm.data.catalog.rows import Advance, count_rows
from dagfm.data.catalog.sample import opened
from dagfm.errors import InputError, listed, suggestion


@dataclass(frozen=True)
class Checked:
    """A data set as the user has it."""

    dataset: DataSet
    variant: Variant
    edition: Edition
    files: dict[str, Source]
    """By role."""
    rows: dict[str, int]
    """By role, of the files that were counted."""

    @property
    def partial(self) -> bool:
        """Whether a file has other rows than the published one."""
        return any(count != self.edition.parts[role].rows for role, count in self.rows.items())

    def side_tables(self) -> dict[str, pl.DataFrame]:
        """The side tables that cannot be read as they are, by role: to be written beside the configuration."""
        tables = {}
        for role, part in self.edition.parts.items():
            if part.derived is not None:
                with opened(self.files[role].first) as file:
                    tables[role] = part.derived(file.read())
        return tables


def check(
    dataset: DataSet,
    given: Sequence[str],
    *,
    variant: str | None = None,
    count: bool = True,
    allow_partial: bool = False,
    advance: Advance = lambda read: None,
) -> Checked:
    """Recognise the given files and count their rows.

    Raises InputError, saying what the files seem to be, where they are not the data set's, and for other numbers of
    rows unless ``allow_partial``.
    """
    chosen = _variant(dataset, variant)
    edition, files = choose(dataset, given)
    rows = {}
    if count:
        rows = {role: _rows(files[role], part, advance) for role, part in edition.parts.items()}
        for role, part in edition.parts.items():
            if rows[role] != part.rows and not allow_partial:
                raise InputError(_other_rows(dataset, edition, role, files[role], rows[role]))
    return Checked(dataset, chosen, edition, files, rows)


def _variant(dataset: DataSet, name: str | None) -> Variant:
    if name is None:
        return next(iter(dataset.variants.values()))
    if name not in dataset.variants:
        near = suggestion(name, dataset.variants)
        raise InputError(f"{dataset.name} has no variant '{name}'; valid: {listed(dataset.variants)}.{near}")
    return dataset.variants[name]


def _rows(source: Source, part: Part, advance: Advance) -> int:
    rows = sum(count_rows(file, part.layout, advance) for file in source.files)
    if rows < 1:
        raise InputError(f"{source.text}: no rows")
    return rows


def _other_rows(dataset: DataSet, edition: Edition, role: str, source: Source, rows: int) -> str:
    expected = edition.parts[role].rows
    told = f"{source.text}: {rows:,} rows, expected {expected:,}"
    for other in dataset.editions:
        for part in other.parts.values():
            if other is not edition and part.rows == rows:
                names = listed(one.usual for one in other.main.values())
                return f"{told}; as many has {part.usual} of the set {names}: give all of them with --from"
    what = "a copy that was cut short, or a sample" if expected is None or rows < expected else "another version"
    return f"{told}: {what}; get it again, or take it as it is with --allow-partial (the configuration then says so)"
