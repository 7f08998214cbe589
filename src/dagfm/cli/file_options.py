"""The options that say how a file of rows is read, the same for every command that reads one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagfm.errors import InputError

if TYPE_CHECKING:
    from dagfm.config.files import FileOptions, TableConfig

Format = Annotated[str | None, typer.Option(help="Format of the file where its suffix does not say it.")]
Separator = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="Between the cells of text, such as '::' or '\\t'; else comma or tab."),
]
Columns = Annotated[
    str | None, typer.Option(metavar="A,B,...", help="Names of the columns of a text file without a header line.")
]
Encoding = Annotated[str | None, typer.Option(help="Encoding of a text file, such as latin-1; else UTF-8.")]
Quote = Annotated[
    str | None, typer.Option(metavar="CHARACTER", help="Around cells of text that hold separators; '' for none.")
]

Tables = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=FILE", help="Side table joined to the rows by a key column; may be repeated."),
]


def file_options(
    format: str | None, separator: str | None, columns: str | None, encoding: str | None, quote: str | None
) -> FileOptions:
    """The options together. Raises InputError naming the one that is not valid."""
    from pydantic import ValidationError

    from dagfm.config.files import FileOptions
    from dagfm.config.load import problem_told

    given: dict[str, Any] = {
        "format": format,
        "separator": separator.replace("\\t", "\t") if separator is not None else None,
        "columns": columns.split(",") if columns is not None else None,
        "encoding": encoding,
        "quote": quote,
    }
    written = {name: value for name, value in given.items() if value is not None}
    if quote == "":
        written["quote"] = None
    try:
        return FileOptions.model_validate(written)
    except ValidationError as error:
        raise InputError("\n".join(f"--{problem_told(problem)}" for problem in error.errors())) from None


def parse_tables(pairs: Iterable[str] | None) -> dict[str, TableConfig]:
    """``KEY=FILE`` pairs of ``--table`` as a mapping. Raises InputError for anything else, or a file not there."""
    from dagfm.config.files import TableConfig

    tables: dict[str, TableConfig] = {}
    for pair in pairs or ():
        key, equals, path = pair.partition("=")
        if not (key and equals and path):
            raise InputError(f"--table {pair}: expected KEY=FILE, such as user_id=users.csv")
        if not Path(path).is_file():
            raise InputError(f"--table {pair}: {path}: no such file")
        tables[key] = TableConfig(path=path)
    return tables
