"""``dagfm evaluate``: how good a bundle is on labelled rows."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator, Tables

log = logging.getLogger(__name__)


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="File, folder or glob of labelled raw rows.")],
    table: Tables = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
) -> None:
    """Measure AUC, logloss and calibration of a bundle on a labelled file, by the label rule it was trained with.

    \b
    dagfm evaluate runs/demo/bundle test.parquet
    """
    import json

    from dagfm.batch.evaluate import evaluate_files
    from dagfm.cli.file_options import file_options, parse_tables
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.serving.scorer import load

    options = file_options(format, separator, columns, encoding, quote)
    figures = evaluate_files(load(bundle), rows, options, parse_tables(table), progress_for_stderr(), log.info)
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        typer.echo(f"{name:12}{value:>14,}" if isinstance(value, int) else f"{name:12}{value:14.5f}")
