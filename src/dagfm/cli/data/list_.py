"""``dagfm data list``: the click logs that the catalog knows."""

from __future__ import annotations

from typing import Annotated

import typer


def list_(
    as_json: Annotated[bool, typer.Option("--json", help="Everything that is known of them, as JSON.")] = False,
) -> None:
    """List the public data sets that have a ready configuration.

    \b
    dagfm data list
    """
    import json

    from dagfm.cli.data.catalog import print_catalog, told
    from dagfm.data.catalog import CATALOG

    if as_json:
        typer.echo(json.dumps([told(dataset) for dataset in CATALOG.values()], indent=2, ensure_ascii=False))
    else:
        print_catalog(CATALOG.values())
