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

    import numpy as np

    from dagfm import metrics
    from dagfm.cli.file_options import file_options
    from dagfm.cli.rows import located, parse_tables, read_rows, score
    from dagfm.config.models import LabelConfig
    from dagfm.data.label import labels
    from dagfm.serving.scorer import load

    scorer = load(bundle)
    label = LabelConfig.model_validate(scorer.card["label"])
    options = file_options(format, separator, columns, encoding, quote)
    raw = read_rows(scorer, rows, options, parse_tables(table), [label.column])
    with located(raw):
        kept, clicks = labels(raw.frame, label, rows)
        # Of all rows, dropped ones too, so that a refused cell is told with its row in the file.
        logits = score(scorer, raw.frame, rows)[kept]
    probabilities = metrics.sigmoid(logits)
    figures = {
        "rows": len(clicks),
        "click_rate": float(np.mean(clicks)),
        "auc": metrics.auc(clicks, logits),
        "logloss": metrics.logloss(clicks, logits),
        "calibration": metrics.calibration(clicks, probabilities),
    }
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        typer.echo(f"{name:12}{value:>14,}" if isinstance(value, int) else f"{name:12}{value:14.5f}")
