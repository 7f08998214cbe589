"""The ``dagfm`` command: its global options and the table of its verbs.

A verb is a file of this folder with one function of the same name. Its parameters are its options, its docstring is its
help and ends with an example that works (``\\b`` before the example keeps its lines). The file itself imports only
typer and the standard library; polars, torch and our rooms are imported inside the function, because ``dagfm --help``
loads every verb and must answer at once. A verb prints results on stdout with ``typer.echo``, logs through
``logging.getLogger(__name__)`` and lets errors rise: ``failures`` turns them into messages and exit codes.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from dagfm import __version__
from dagfm.cli.data import data
from dagfm.cli.failures import remember_interrupts, reported
from dagfm.cli.logs import log_to_stderr
from dagfm.cli.patch import patch
from dagfm.cli.streams import open_missing_streams

VERBS = ("init", "fit", "distil", "evaluate", "predict", "explain", "export", "serve")
"""In the order of ``--help``, which is the order in which one meets them."""


class _Reporting(TyperGroup):
    """The group of verbs; a verb's errors leave it as a message and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        with reported():
            return super().invoke(ctx)


# Plain help and plain tracebacks: both end up in logs and issues, and rich would double the time to start.
app = typer.Typer(
    cls=_Reporting,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line of this process; always leaves through SystemExit unless dagfm itself has a bug."""
    open_missing_streams()
    remember_interrupts()
    app(prog_name="dagfm")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"dagfm {__version__}")
        raise typer.Exit


@app.callback()
def _global_options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only warnings and errors on stderr.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Details on stderr, tracebacks too.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Distil heavy click-through models into small, fast DAGFM students.

    \b
    dagfm init clicks.parquet --label click     write dagfm.yaml from the data
    dagfm fit dagfm.yaml                        teacher, distilled student, bundle
    """
    if quiet and verbose:
        raise typer.BadParameter("give --quiet or --verbose, not both")
    log_to_stderr(logging.WARNING if quiet else logging.DEBUG if verbose else logging.INFO)


for _verb in VERBS:
    app.command(_verb)(getattr(import_module(f"dagfm.cli.{_verb}"), _verb))
app.add_typer(patch, name="patch")
app.add_typer(data, name="data")
