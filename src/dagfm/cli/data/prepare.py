"""``dagfm data prepare``: the click log as training reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.options import MEMORY_HELP


def prepare(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration; 'dagfm init' writes one.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; may be repeated.")
    ] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was prepared as JSON.")] = False,
) -> None:
    """Learn vocabularies and encode every row, in bounded memory; 'dagfm fit' does it itself where it is not done.

    Says first what it will take, and refuses what cannot fit. A second run with the same files and fields does nothing;
    an interrupted one continues.

    \b
    dagfm data prepare dagfm.yaml --memory 1GB
    """
    import json

    from dagfm.cli.options import parse_memory
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.config import load_config
    from dagfm.data.prepare import prepare as prepare_data

    watch = progress_for_stderr()
    try:
        resolved = load_config(config, overrides or [])
        prepared = prepare_data(resolved, config.resolve().parent, watch, parse_memory(memory))
    finally:
        watch.finish()
    parts = {"train": prepared.train, "valid": prepared.valid, "test": prepared.test}
    figures = {
        "directory": str(prepared.directory),
        "fingerprint": prepared.fingerprint,
        "rows": {name: len(part) for name, part in parts.items()},
        "click_rate": prepared.click_rates(),
        "embedding_rows": prepared.encoder.spans.total,
        **prepared.facts,
    }
    if as_json:
        typer.echo(json.dumps(figures, indent=2, ensure_ascii=False))
        return
    _print(figures)


def _print(figures: dict) -> None:  # type: ignore[type-arg]
    from dagfm.cli.tables import plain_table

    rows = figures["rows"]
    plain_table(
        ("part", "rows", "click rate"),
        [(name, f"{count:,}", f"{figures['click_rate'][name]:.4f}") for name, count in rows.items()],
    )
    plain_table(
        ("field", "embedding rows", "unknown in training", "missing in training"),
        [
            (seen["name"], f"{seen['rows']:,}", *(f"{seen[key] / rows['train']:.2%}" for key in ("unknown", "missing")))
            for seen in figures["fields"]
        ],
    )
    for found in figures["collisions"]:
        typer.echo(
            f"{found['name']}: {found['colliding']:,} of {found['distinct']:,} values "
            f"({found['colliding'] / max(found['distinct'], 1):.1%}) share their row with another"
        )
    typer.echo(f"prepared: {figures['directory']}")
