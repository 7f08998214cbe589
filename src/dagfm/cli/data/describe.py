"""``dagfm data describe``: what a click log holds, and what would make a score mean less than it seems to."""

from __future__ import annotations

from typing import Annotated

import typer

from dagfm.cli.file_options import Columns, Encoding, Format, Quote, Separator


def describe(
    source: Annotated[
        str, typer.Argument(metavar="FILE|CONFIG", help="Data file or quoted glob, or a YAML configuration.")
    ],
    label: Annotated[
        str | None, typer.Option(help="Of a data file: the column that says click or no click; else guessed by name.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the configuration.")
    ] = None,
    format: Format = None,
    separator: Separator = None,
    columns: Columns = None,
    encoding: Encoding = None,
    quote: Quote = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the tables as Markdown.")] = False,
) -> None:
    """Tell rows, label rate and parts; types, values, leaks and drift of every field; pairs of ids that know the label.

    Reads everything, in bounded memory. Figures with a ~ are estimates, those with a ! deserve a look.

    \b
    dagfm data describe clicks.parquet --label click
    """
    import json

    from dagfm.cli.file_options import file_options
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.data.describe import describe as describe_data
    from dagfm.errors import InputError
    from dagfm.report.data_table import data_table

    if as_json and as_markdown:
        raise InputError("give --json or --markdown, not both")
    is_config = source.lower().endswith((".yaml", ".yml"))
    options = file_options(format, separator, columns, encoding, quote)
    if is_config and options.model_fields_set:
        named = ", ".join(f"--{name}" for name in sorted(options.model_fields_set))
        raise InputError(f"{named}: for data files; of a configuration, use --set data.KEY=VALUE")
    if is_config and label is not None:
        raise InputError("--label is for data files; of a configuration, use --set data.label=COLUMN")
    if not is_config and overrides:
        raise InputError("--set is for configurations; 'dagfm init' writes one from a data file")
    watch = progress_for_stderr()
    try:
        told = describe_data(source, label, watch, overrides or [], options)
    finally:
        watch.finish()
    if as_json:
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False))
    elif as_markdown:
        typer.echo("\n".join(data_table(told)))
    else:
        _print(told)


def _print(told: dict) -> None:  # type: ignore[type-arg]
    from dagfm.cli.tables import plain_table
    from dagfm.report import data_table as tables

    for line in tables.head(told):
        typer.echo(line)
    plain_table(tables.FIELD_HEADER, tables.field_rows(told), least=4)
    for header, rows in ((tables.PAIR_HEADER, tables.pair_rows(told)), (tables.TIME_HEADER, tables.time_rows(told))):
        if rows:
            plain_table(header, rows, least=3)
    for sentence in tables.sentences(told):
        typer.echo(f"! {sentence}")
