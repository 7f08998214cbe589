"""``dagfm data recipe``: the ready configuration of a public data set, for the files that the user has."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

log = logging.getLogger(__name__)


def recipe(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set; 'dagfm data list' shows them.")],
    given: Annotated[
        list[str],
        typer.Option(
            "--from",
            metavar="FILE",
            help="File, quoted glob or folder; repeat it for valid and test. Files beside it are found by their names.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="CONFIG", help="Configuration to write; else NAME.yaml.")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="Protocol, where there are several, such as 002.")] = None,
    allow_partial: Annotated[
        bool, typer.Option("--allow-partial", help="Take files with other numbers of rows, such as a sample.")
    ] = False,
    no_count: Annotated[bool, typer.Option("--no-count", help="Do not count the rows, which reads all files.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the configuration if it exists.")] = False,
) -> None:
    """Check the files of a public data set and write the configuration of its published protocol.

    \b
    dagfm data recipe criteo-x4 --from train.txt -o criteo-x4.yaml
    """
    from dagfm.cli.data.counting import counting
    from dagfm.data.catalog import find
    from dagfm.data.catalog.recipe import check
    from dagfm.data.catalog.text import rendered, table_path
    from dagfm.errors import InputError
    from dagfm.files import replacing, write_bytes

    dataset = find(name)
    output = output or Path(f"{dataset.name}.yaml")
    if output.exists() and not force:
        raise InputError(f"{output}: exists already; choose another file with -o, or overwrite it with --force")
    with counting(given) as advance:
        checked = check(
            dataset, given, variant=variant, count=not no_count, allow_partial=allow_partial, advance=advance
        )
    for role, table in checked.side_tables().items():
        with replacing(table_path(checked, role, output)) as temporary:
            table.write_parquet(temporary)
    write_bytes(output, rendered(checked, output).encode())
    if checked.partial:
        log.warning("not the whole data set: no published figure compares with a run on it")
    typer.echo(str(output))
    log.info("then run: dagfm data prepare %s; dagfm fit %s", output, output)
