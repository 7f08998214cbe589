"""``dagfm patch``: only what changed between two bundles."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

patch = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Send only what changed between two bundles.")


@patch.command("make")
def make(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Bundle that the other side has, or its run.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Bundle that it is to have, or its run.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="PATCH", help="File to write.")],
    portable: Annotated[
        bool, typer.Option("--portable", help="For another version of polars or no compiled kernel; larger.")
    ] = False,
) -> None:
    """Write the file that turns one bundle into another: changed rows and weights, new tokens, compressed.

    \b
    dagfm patch make runs/monday runs/tuesday -o tuesday.patch
    """
    from dagfm.progress import size_text
    from dagfm.serving.patches import make as made

    found = made(old, new, output, portable)
    typer.echo(f"{output}: {size_text(found.size)}, {found.size / found.bundle:.1%} of the bundle", err=True)


@patch.command("apply")
def apply(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Bundle that the patch was made from, or its run.")],
    file: Annotated[Path, typer.Argument(metavar="PATCH", help="File that 'dagfm patch make' wrote.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="NEW", help="Bundle to write; may be OLD, which it replaces.")
    ],
) -> None:
    """Write the newer bundle, the same to the byte; a patch for another bundle is refused.

    \b
    dagfm patch apply models/monday tuesday.patch -o models/tuesday
    """
    from dagfm.serving.patches import apply as applied

    applied(old, file, output)
    typer.echo(f"{output}: written, every checksum is right", err=True)
