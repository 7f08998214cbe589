"""More students for a finished run: distilled from the logits that it has kept, without its teacher."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dagfm.config import Config, load_config
from dagfm.config.networks import DAGFMConfig
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import MEMORY, prepare
from dagfm.errors import InputError, listed
from dagfm.files import MANIFEST, digest, read_json
from dagfm.progress import LoggedProgress, Progress
from dagfm.run.directory import CONFIG, RESULTS, claim, is_run, place_of, write_config
from dagfm.run.fit import Run
from dagfm.run.machine import at_work, device_of
from dagfm.run.story import Story
from dagfm.training.allocator import keep_freed_memory
from dagfm.training.pretrained import PretrainedVectors
from dagfm.training.warm_up import PREPARED


def distil(
    run: str | Path,
    students: Iterable[Mapping[str, Any]],
    *,
    progress: Progress | None = None,
    memory: int = MEMORY,
) -> Run:
    """Add ``students``, mappings as the configuration's ``student`` takes them, to a finished ``run``.

    They are distilled from the run's cached logits and finetuned, with every seed of the run, as if they had been in
    its configuration from the start; nothing of a teacher is built or run. Configuration, results and bundles are
    renewed at the end. A student that is there with the same settings is not trained again; one that was interrupted
    continues. Raises InputError when the run is none or is not finished, or a student's name has other settings there.
    """
    directory = Path(run)
    if not is_run(directory):
        raise InputError(f"{directory}: not a run; 'dagfm fit CONFIG -o {directory}' makes one")
    with claim(directory):
        results = _finished(directory)
        config, fresh = _with_students(directory, students)
        seeds = list(dict.fromkeys(entry["seed"] for entry in results["models"]))
        _check_phases(directory, config, fresh, seeds)
        device = device_of(config.training.device)
        watch = progress or LoggedProgress()
        prepared = _prepared(directory, config, watch, memory)
        keep_freed_memory()
        pretrained = PretrainedVectors.read(config, prepared)
        story = Story(
            config,
            prepared,
            pretrained,
            directory,
            device,
            several=len(seeds) > 1,
            progress=watch,
            baselines=(),
            memory=results.get("memorize"),
        )
        with at_work(config.training.threads, watch):
            for seed in seeds:
                story.add(seed, fresh, [entry for entry in results["models"] if entry["seed"] == seed])
        write_config(directory, config)
        return Run(directory, story.end())


def _finished(directory: Path) -> dict[str, Any]:
    """The results of a run whose last fit has ended."""
    if not (directory / RESULTS).exists() or not (directory / CONFIG).exists():
        raise _unfinished(directory, "it has no results yet")
    results: dict[str, Any] = read_json(directory / RESULTS)
    if results.get("config") not in (None, digest(directory / CONFIG)):
        raise _unfinished(directory, f"{CONFIG} has changed since {RESULTS} was written")
    return results


def _unfinished(directory: Path, why: str) -> InputError:
    return InputError(f"{directory}: not finished: {why}; 'dagfm fit {directory / CONFIG} -o {directory}' finishes it")


def _with_students(directory: Path, students: Iterable[Mapping[str, Any]]) -> tuple[Config, list[str]]:
    """The run's configuration with more students, all named, and the names of those that are new."""
    path = directory / CONFIG
    config = load_config(path)
    if config.phase is not None:
        raise InputError(f"{directory}: made with --phase {config.phase}; students are added to a whole run")
    there = {name: student.model_copy(update={"name": name}) for name, student in config.named("student")}
    old = list(there)
    for wanted in students:
        if not isinstance(wanted, Mapping):
            raise InputError(f"student: expected a mapping such as {{depth: 2}}, found {wanted!r}")
        (student,) = load_config(path, [_students([dict(wanted)])]).student
        name = student.name or next((name for name, one in there.items() if _settings(one) == _settings(student)), None)
        if name in there and _settings(there[name]) != _settings(student):
            raise InputError(
                f"student '{name}': this run has one of that name with other settings; choose another name. "
                f"Taken: {listed(there)}"
            )
        name = name or _free_name(student, there)
        there.setdefault(name, student.model_copy(update={"name": name}))
    fresh = [name for name in there if name not in old]
    if not fresh:
        return config, []
    return load_config(path, [_students([student.model_dump(mode="json") for student in there.values()])]), fresh


def _students(members: list[dict[str, Any]]) -> str:
    return f"student={json.dumps(members)}"


def _settings(student: DAGFMConfig) -> tuple[dict[str, Any], int | None]:
    return student.definition, student.size


def _free_name(student: DAGFMConfig, taken: Iterable[str]) -> str:
    """Network and number, as in a list of students without names."""
    number = len(list(taken)) + 1
    while f"{student.network}-{number}" in taken:
        number += 1
    return f"{student.network}-{number}"


def _check_phases(directory: Path, config: Config, fresh: list[str], seeds: list[int]) -> None:
    """Refuse a run of which a phase is missing before anything is trained."""
    needed = [("teacher_logits",)] + [
        (phase, name)
        for name, _ in config.named("student")
        if name not in fresh
        for phase in ("distillation", "finetuning")
    ]
    if config.scores is None:
        needed += [("teacher_training", name) for name, _ in config.named("teacher")]
    for parts in needed:
        for seed in seeds:
            place = place_of(directory, *parts, seed=seed, several=len(seeds) > 1)
            if not (place / MANIFEST).exists():
                raise _unfinished(directory, f"{place.relative_to(directory)} is missing")


def _prepared(directory: Path, config: Config, watch: Progress, memory: int) -> Prepared:
    """The prepared rows that the run was made from, made again where they are gone."""
    made_from = read_json(directory / PREPARED)
    place = Path(made_from["directory"])
    if place.is_dir():
        return Prepared.open(place)
    home = place.parents[2]  # of home/.dagfm/prepared/<fingerprint>
    prepared = prepare(config, home, watch, memory)
    if prepared.content != made_from["content"]:
        raise InputError(
            f"{directory}: its prepared rows are gone from {place}, and its files hold other rows by now; "
            f"'dagfm fit {directory / CONFIG} -o {directory}' begins anew on these"
        )
    return prepared
