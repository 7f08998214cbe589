"""``dagfm data clean``: what earlier runs have prepared and cached, and how to be rid of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def clean(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Folder of the configuration, which holds .dagfm.")
    ] = Path(),
    remove: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Remove this one; may be repeated; a beginning will do.")
    ] = None,
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Remove what was interrupted.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Remove all of it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False,
) -> None:
    """List prepared data and converted files with their sizes; remove those that are named.

    Everything listed can be made again from the click log. What a running process is working on is left alone.

    \b
    dagfm data clean --unfinished
    """
    import json

    from dagfm.cli.tables import plain_table
    from dagfm.data.store import stored
    from dagfm.errors import InputError, listed
    from dagfm.progress import size_text

    found = stored(folder / ".dagfm")
    doomed = [one for one in found if everything or (unfinished and not one.finished)]
    for name in remove or []:
        named = [one for one in found if one.name.startswith(name)]
        if len(named) != 1:
            problem = "is none of them" if not named else "may be several"
            raise InputError(f"--remove {name}: {problem}; there are: {listed(one.name for one in found) or 'none'}")
        doomed += named
    for one in dict.fromkeys(doomed):
        if one.remove():
            typer.echo(f"removed {one.name} ({size_text(one.size)})", err=True)
        else:
            typer.echo(f"left {one.name}: a process is working on it", err=True)
    left = stored(folder / ".dagfm")
    if as_json:
        typer.echo(json.dumps([one.described() for one in left], indent=2))
        return
    plain_table(
        ("name", "what", "state", "size", "last written"),
        [
            (one.name, one.kind, "finished" if one.finished else "unfinished", size_text(one.size), one.written)
            for one in left
        ],
    )
    typer.echo(f"{size_text(sum(one.size for one in left))} in {folder / '.dagfm'}")
