"""``dagfm explain``: why rows score as they do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator, Tables

log = logging.getLogger(__name__)


def explain(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="File of raw rows, with or without the label.")],
    row: Annotated[
        list[int] | None, typer.Option("--row", metavar="N", min=1, help="Explain row N of ROWS; may be repeated.")
    ] = None,
    first: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=1, help="Explain the first N rows; else the first alone.")
    ] = None,
    paths: Annotated[int, typer.Option(min=0, help="How many of the strongest paths to show.")] = 5,
    table: Tables = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print all there is to tell as JSON.")] = False,
) -> None:
    """Say what a row's score is made of: its fields, pairs of them and paths, with what each adds to the logit.

    \b
    dagfm explain runs/demo/bundle tomorrow.csv --row 3
    """
    import json
    import tempfile

    import polars as pl

    from dagfm.batch.rows import RawRows
    from dagfm.cli.explained import print_explanations
    from dagfm.cli.file_options import file_options, parse_tables
    from dagfm.data.log import as_frame
    from dagfm.encoding.values import BadValueError
    from dagfm.errors import InputError
    from dagfm.serving.scorer import load

    if row and first:
        raise typer.BadParameter("give --row or --rows, not both")
    scorer = load(bundle)
    options = file_options(format, separator, columns, encoding, quote)
    with tempfile.TemporaryDirectory(prefix="dagfm-") as store:
        raw = RawRows.open(scorer, rows, options, parse_tables(table), Path(store), progress=log.info)
        height = len(raw.log)
        wanted = row or range(1, min(first or 1, height) + 1)
        if max(wanted, default=1) > height:
            raise InputError(f"{rows}: row {max(wanted)}: there are {height:,} rows")
        spans = [(1, number - 1) for number in row] if row else [(len(wanted), 0)] if wanted else []
        read = [as_frame(next(raw.log.batches(raw.columns, count, start))) for count, start in spans]
        try:
            found = scorer.explain(pl.concat(read), paths, rows) if read else []
        except BadValueError as error:
            raise InputError(f"{raw.log.locate(wanted[error.row] - 1)}: {error.problem}") from None
    if as_json:
        told = [{"row": number, **one.as_dict()} for number, one in zip(wanted, found, strict=True)]
        typer.echo(json.dumps({"explanations": told}))
        return
    print_explanations([f"{rows}: row {number}" for number in wanted], found, scorer)
    if not row and len(wanted) < height:
        typer.echo(f"{len(wanted):,} of {height:,} rows; --row N and --rows N choose others", err=True)
