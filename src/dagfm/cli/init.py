"""``dagfm init``: a commented configuration from the data."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator

log = logging.getLogger(__name__)


def init(
    file: Annotated[str, typer.Argument(metavar="FILE", help="Click log: Parquet, CSV, TSV, RecBole .inter, libsvm.")],
    label: Annotated[str | None, typer.Option(help="Column that says click or no click; else guessed by name.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Configuration to write.")] = Path("dagfm.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the configuration if it exists.")] = False,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
) -> None:
    """Write a commented configuration from a click log, every guess explained.

    Types come from what the columns hold; columns that give the label away are left out; sides are proposed in
    comments, for you to decide.

    \b
    dagfm init clicks.parquet --label click -o dagfm.yaml
    """
    from dagfm.cli.file_options import file_options
    from dagfm.cli.init_text import rendered
    from dagfm.data.infer import infer
    from dagfm.errors import InputError
    from dagfm.files import write_bytes

    if output.exists() and not force:
        raise InputError(f"{output}: exists already; choose another file with -o, or overwrite it with --force")
    proposal = infer(file, label, file_options(format, separator, columns, encoding, quote))
    write_bytes(output, rendered(proposal, file, output).encode())
    for column in proposal.columns:
        for warning in column.warnings:
            log.warning("%s: %s", column.name, warning)
    typer.echo(str(output))
    log.info("read its comments, then run: dagfm fit %s", output)
