"""``dagfm evaluate``: how good a bundle is on labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator
from dagfm.cli.rows import TABLE_HELP


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="File of labelled raw rows.")],
    table: Annotated[list[str] | None, typer.Option(metavar="KEY=FILE", help=TABLE_HELP)] = None,
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

    from dagfm import metrics
    from dagfm.cli.file_options import file_options
    from dagfm.cli.labelled import read_labelled
    from dagfm.cli.rows import located, parse_tables, score
    from dagfm.serving.scorer import load

    scorer = load(bundle)
    options = file_options(format, separator, columns, encoding, quote)
    found = read_labelled(scorer, rows, options, parse_tables(table))
    with located(found.raw):
        # Of all rows, dropped ones too, so that a refused cell is told with its row in the file.
        logits = score(scorer, found.raw.frame, rows)[found.kept]
    clicks, weights = found.clicks, found.weights
    probabilities = metrics.sigmoid(logits)
    figures = {
        "rows": len(clicks),
        "click_rate": metrics.mean(clicks, weights),
        "auc": metrics.auc(clicks, logits, weights),
        "logloss": metrics.logloss(clicks, logits, weights),
        "calibration": metrics.calibration(clicks, probabilities, weights),
    }
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        typer.echo(f"{name:12}{value:>14,}" if isinstance(value, int) else f"{name:12}{value:14.5f}")
