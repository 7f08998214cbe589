"""``dagfm predict``: raw rows to click probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator
from dagfm.cli.rows import TABLE_HELP

_WRITERS = {".csv": "write_csv", ".parquet": "write_parquet", ".tsv": "write_csv"}


def predict(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="Bundle, or the run that holds it.")],
    rows: Annotated[str, typer.Argument(metavar="ROWS", help="File of raw rows, with or without the label.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="OUT", help=".csv, .tsv or .parquet; else CSV on stdout."),
    ] = None,
    keep: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="Column of ROWS to write too; may be repeated.")
    ] = None,
    table: Annotated[list[str] | None, typer.Option(metavar="KEY=FILE", help=TABLE_HELP)] = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
) -> None:
    """Score every row of a file, in its order: a column 'probability', and the columns named by --keep.

    \b
    dagfm predict runs/demo/bundle tomorrow.csv -o scores.csv --keep user_id
    """
    import io

    import polars as pl

    from dagfm.cli.file_options import file_options
    from dagfm.cli.rows import located, parse_tables, read_rows, score
    from dagfm.errors import InputError, listed
    from dagfm.files import replacing
    from dagfm.metrics import sigmoid
    from dagfm.serving.scorer import load

    if output is not None and output.suffix not in _WRITERS:
        raise InputError(f"{output}: cannot write '{output.suffix}'; valid suffixes: {listed(_WRITERS)}")
    kept = keep or []
    if "probability" in kept:
        raise InputError("--keep probability: that is the name of the column with the scores; rename the input column")
    scorer = load(bundle)
    options = file_options(format, separator, columns, encoding, quote)
    raw = read_rows(scorer, rows, options, parse_tables(table), kept)
    with located(raw):
        probabilities = sigmoid(score(scorer, raw.frame, rows)).astype("float32")
    scored = raw.frame.with_columns(pl.Series("probability", probabilities))
    scored = scored.select([*kept, "probability"])
    nested = [name for name, kind in scored.schema.items() if kind.is_nested()]
    if nested and (output is None or output.suffix != ".parquet"):
        raise InputError(
            f"--keep {nested[0]}: holds {scored.schema[nested[0]]}, which CSV cannot; write .parquet with -o"
        )
    if output is None:
        buffer = io.BytesIO()
        scored.write_csv(buffer)
        typer.echo(buffer.getvalue(), nl=False)
        return
    written = {"separator": "\t"} if output.suffix == ".tsv" else {}
    with replacing(output) as temporary:
        getattr(scored, _WRITERS[output.suffix])(temporary, **written)
