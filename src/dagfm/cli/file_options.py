"""The options that say how a file of rows is read, the same for every command that reads one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dagfm.errors import InputError

if TYPE_CHECKING:
    from dagfm.config.files import FileOptions

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
