"""``dagfm explain``: why rows score as they do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator
from dagfm.cli.rows import TABLE_HELP


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
    table: Annotated[list[str] | None, typer.Option(metavar="KEY=FILE", help=TABLE_HELP)] = None,
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

    from dagfm.cli.explained import print_explanations
    from dagfm.cli.file_options import file_options
    from dagfm.cli.rows import located, parse_tables, read_rows
    from dagfm.encoding.values import BadValueError
    from dagfm.errors import InputError
    from dagfm.serving.scorer import load

    if row and first:
        raise typer.BadParameter("give --row or --rows, not both")
    scorer = load(bundle)
    options = file_options(format, separator, columns, encoding, quote)
    raw = read_rows(scorer, rows, options, parse_tables(table))
    height = raw.frame.height
    wanted = row or range(1, min(first or 1, height) + 1)
    if max(wanted, default=1) > height:
        raise InputError(f"{rows}: row {max(wanted)}: there are {height:,} rows")
    with located(raw):
        try:
            found = scorer.explain(raw.frame[[number - 1 for number in wanted]], paths, rows)
        except BadValueError as error:
            raise BadValueError(rows, wanted[error.row] - 1, error.problem) from None
    if as_json:
        told = [{"row": number, **one.as_dict()} for number, one in zip(wanted, found, strict=True)]
        typer.echo(json.dumps({"explanations": told}))
        return
    print_explanations([f"{rows}: row {number}" for number in wanted], found, scorer)
    if not row and len(wanted) < height:
        typer.echo(f"{len(wanted):,} of {height:,} rows; --row N and --rows N choose others", err=True)
