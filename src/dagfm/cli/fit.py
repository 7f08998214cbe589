"""``dagfm fit``: a run from a configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.options import MEMORY_HELP


def fit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="YAML configuration; 'dagfm init' writes one.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="RUN", help="Run directory; default runs/<name of CONFIG>.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; may be repeated.")
    ] = None,
    preset: Annotated[str | None, typer.Option(help="default, or paper: the reference's recipe.")] = None,
    seeds: Annotated[int, typer.Option(help="Repeat with this many seeds and report mean and deviation.")] = 1,
    baseline: Annotated[
        list[str] | None, typer.Option(help="Also train: scratch (the student on clicks alone) or fm; repeatable.")
    ] = None,
    phase: Annotated[
        str | None, typer.Option(help="Run one phase alone: teacher_training, distillation or finetuning.")
    ] = None,
    warm_up: Annotated[
        str | None, typer.Option("--warm-up", metavar="PATH", help="Run or phase directory that --phase starts from.")
    ] = None,
    reuse: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="Take over what another run has finished from equal inputs; repeatable."),
    ] = None,
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Train a teacher, distil and finetune a student, measure both, write the bundle to serve.

    What is finished is not done again; what was interrupted continues; what depends on a changed key is redone.

    \b
    dagfm fit dagfm.yaml --baseline scratch --set training.seed=7
    dagfm fit dagfm.yaml -o runs/wider --set student.depth=4 --reuse runs/demo
    """
    from dagfm.cli.options import parse_memory
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.cli.tables import print_results
    from dagfm.run.fit import fit as fit_run

    pairs = [f"{key}={json.dumps(value)}" for key, value in
             (("preset", preset), ("phase", phase), ("warm_up", warm_up)) if value is not None]  # fmt: skip
    run = fit_run(
        config,
        output,
        overrides=[*pairs, *(overrides or [])],
        seeds=seeds,
        baselines=baseline or [],  # type: ignore[arg-type]
        progress=progress_for_stderr(),
        memory=parse_memory(memory),
        reuse=reuse or (),
    )
    if as_json:
        typer.echo((run.directory / "results.json").read_text(), nl=False)
    else:
        print_results(run.directory, run.results)
