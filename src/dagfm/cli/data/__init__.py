"""``dagfm data``: the family of verbs about the click log itself, one a file.

They follow the rules of ``dagfm.cli.app``: a function of the file's name, heavy imports inside it.
"""

from __future__ import annotations

from importlib import import_module

import typer

VERBS: tuple[str, ...] = ("list_", "get", "recipe", "describe", "prepare", "simulate", "clean")
"""In the order of ``--help``."""

data = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Prepare, simulate, describe and fetch click logs."
)

for _verb in VERBS:
    # A verb that would shadow something of Python's has an underscore that its name on the command line lacks.
    data.command(_verb.rstrip("_"))(getattr(import_module(f"dagfm.cli.data.{_verb}"), _verb))
