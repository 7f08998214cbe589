"""``dagfm data simulate``: a click log with a known truth."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer


def simulate(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder to write; it is made.")],
    rows: Annotated[int, typer.Option(help="Rows of the log; 10_000_000 is a number, too.")] = 1_000_000,
    fields: Annotated[int, typer.Option(help="Fields of the log, ids and numbers together.")] = 10,
    ids: Annotated[int, typer.Option(help="Ids of all id fields together, log-spaced over them.")] = 10_000,
    order: Annotated[int, typer.Option("--order", "--orders", help="Highest order of the interactions, 1 to 4.")] = 3,
    floats: Annotated[
        int | None, typer.Option(help="How many fields are numbers; default a third from 15 fields on, else none.")
    ] = None,
    zipf: Annotated[float, typer.Option(help="Exponent of the ids' popularity; 0: all equally frequent.")] = 1.2,
    click_rate: Annotated[float, typer.Option(help="Share of clicks.")] = 0.2,
    signal: Annotated[float, typer.Option(help="Standard deviation of the logit that the fields explain.")] = 1.8,
    pair_effect: Annotated[
        float, typer.Option(help="Standard deviation of an effect of pairs of ids that no low rank explains.")
    ] = 0.0,
    drift: Annotated[
        float, typer.Option(help="Standard deviation by which effects move within 15 days, with the time.")
    ] = 0.0,
    noise: Annotated[float, typer.Option(help="Standard deviation of the logit that nothing explains.")] = 0.0,
    per_day: Annotated[int | None, typer.Option(help="Rows a day; default: the log lasts 30 days.")] = None,
    seed: Annotated[int, typer.Option(help="Everything follows from it.")] = 2022,
    format: Annotated[str, typer.Option(help="parquet or csv.")] = "parquet",
    shard_rows: Annotated[int, typer.Option(help="Rows in a file; it does not change the rows.")] = 1_000_000,
    force: Annotated[bool, typer.Option("--force", help="Make it anew, in place of any simulation in DIR.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print simulation.json instead of the table.")] = False,
) -> None:
    """Write a click log whose truth is known, with a dagfm.yaml, and print the best reachable AUC and logloss.

    Equal options give equal rows. What was interrupted continues; what is there is not made again.

    \b
    dagfm data simulate --rows 20_000 --fields 6 --ids 500 -o simulated
    """
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.data.simulate import simulate as write_simulation

    done = write_simulation(
        output,
        force=force,
        progress=progress_for_stderr(),
        rows=rows,
        fields=fields,
        ids=ids,
        order=order,
        floats=floats,
        zipf=zipf,
        click_rate=click_rate,
        signal=signal,
        pair_effect=pair_effect,
        drift=drift,
        noise=noise,
        per_day=per_day,
        seed=seed,
        format=format,
        shard_rows=shard_rows,
    )
    if as_json:
        typer.echo(json.dumps(done.state, indent=2, ensure_ascii=False))
        return
    best, test = done.state["best"], done.best
    typer.echo(f"{best['rows']:,} rows, {best['click_rate']:.4f} of them clicks: {done.config}")
    typer.echo(_line(f"best reachable on the {test['rows']:,} test rows", test))
    if "knowing_time" in best:
        typer.echo(_line("best reachable by a model that is told the time", best["knowing_time"]))


def _line(title: str, figures: Mapping[str, Any]) -> str:
    auc = "-" if figures["auc"] is None else f"{figures['auc']:.4f}"
    return (
        f"{title}: AUC {auc} (expected {figures['expected_auc']:.4f}), "
        f"logloss {figures['logloss']:.4f} (expected {figures['expected_logloss']:.4f})"
    )
