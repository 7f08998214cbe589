"""``dagfm predict``: raw rows to click probabilities."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator, Tables

log = logging.getLogger(__name__)


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    rows: Annotated[
        str, typer.Argument(metavar="ROWS", help="File, folder or glob of raw rows, with or without the label.")
    ],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help=".csv, .tsv or .parquet; else CSV on stdout."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column of ROWS to write too; may be repeated.")
    ] = None,
    table: Tables = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
) -> None:
    """Score every row of files of any size, in its order: a column 'probability', and the columns named by --keep.

    With -o, the same command goes on where one was interrupted.

    \b
    dagfm predict runs/demo/bundle tomorrow.csv -o scores.csv --keep user_id
    """
    from dagfm.batch.predict import Task, predict_file, predict_lines
    from dagfm.cli.file_options import file_options, parse_tables
    from dagfm.cli.progress import progress_for_stderr

    options = file_options(format, separator, columns, encoding, quote)
    task = Task(bundle, rows, options, parse_tables(table), tuple(dict.fromkeys(keep or ())))
    if output is not None:
        count = predict_file(task, output, progress_for_stderr(), log.info)
        log.info("%s: %s rows", output, f"{count:,}")
        return
    for lines in predict_lines(task, progress_for_stderr(), log.info):
        _write(lines)


def _write(lines: bytes) -> None:
    """All of it to stdout: unbuffered, as PYTHONUNBUFFERED asks for, one write may take a part."""
    stream, left = typer.get_binary_stream("stdout"), memoryview(lines)
    while left:
        left = left[stream.write(left) :]
    stream.flush()
