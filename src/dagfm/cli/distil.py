"""``dagfm distil``: more students for a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dagfm.cli.options import MEMORY_HELP


def distil(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Directory of a finished run.")],
    student: Annotated[
        list[str],
        typer.Option(metavar="YAML", help="A student as 'student' has it in the configuration; may be repeated."),
    ],
    memory: Annotated[str | None, typer.Option(metavar="SIZE", help=MEMORY_HELP)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
) -> None:
    """Distil more students from a finished run's cached logits, without its teacher.

    They are trained with every seed of the run and join its configuration, results and bundles.

    \b
    dagfm distil runs/demo --student '{name: flat, depth: 1}' --student '{name: wide, type: outer}'
    """
    import yaml

    from dagfm.cli.options import parse_memory
    from dagfm.cli.progress import progress_for_stderr
    from dagfm.cli.tables import print_results
    from dagfm.errors import InputError
    from dagfm.run.distil import distil as distil_run

    students = []
    for text in student:
        try:
            students.append(yaml.safe_load(text))
        except yaml.YAMLError as error:
            raise InputError(f"--student {text}: not valid YAML: {error}") from None
        if not isinstance(students[-1], dict):
            raise InputError(f"--student {text}: expected a mapping such as '{{name: flat, depth: 1}}'")
    done = distil_run(run, students, progress=progress_for_stderr(), memory=parse_memory(memory))
    if as_json:
        typer.echo((done.directory / "results.json").read_text(), nl=False)
    else:
        print_results(done.directory, done.results)
