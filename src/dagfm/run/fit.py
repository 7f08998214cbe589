"""One run, from a configuration to a run directory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from dagfm.config import Config, load_config
from dagfm.config.models import Baseline
from dagfm.data.dataset import Prepared
from dagfm.data.log import spool
from dagfm.data.prepare import MEMORY, STORE, prepare
from dagfm.data.scores import ScoreFunction
from dagfm.errors import InputError, listed, suggestion
from dagfm.memorize.choice import find_memory
from dagfm.progress import LoggedProgress, Progress
from dagfm.report.memory import memory_told
from dagfm.run.directory import claim, default_directory, describe, is_run
from dagfm.run.machine import at_work, device_of
from dagfm.run.story import Story
from dagfm.serving.scorer import Scorer, load
from dagfm.training.allocator import keep_freed_memory
from dagfm.training.pretrained import PretrainedVectors, told
from dagfm.training.trees import lightgbm


@dataclass(frozen=True)
class Run:
    """A finished run."""

    directory: Path
    results: Mapping[str, Any]
    """What ``results.json`` holds."""

    @property
    def bundle(self) -> Path:
        """The student to serve."""
        return self.directory / "bundle"

    def scorer(self) -> Scorer:
        """Load the served student."""
        return load(self.bundle)


def fit(
    source: str | Path | Mapping[str, Any] | Config,
    run: str | Path | None = None,
    *,
    overrides: Iterable[str] = (),
    seeds: int = 1,
    baselines: Iterable[Baseline] = (),
    train: Any = None,
    valid: Any = None,
    test: Any = None,
    teacher: ScoreFunction | None = None,
    progress: Progress | None = None,
    memory: int = MEMORY,
    reuse: Iterable[str | Path] = (),
) -> Run:
    """Train teacher and students as ``source`` says and leave metrics, results and a bundle in ``run``.

    ``source``: a YAML file, a mapping or a ``Config``; ``run`` defaults to ``runs/<name of the file>``; ``overrides``:
    ``key=value`` as ``--set`` takes them; ``seeds`` repeats everything with ``training.seed`` and the seeds after it;
    ``baselines``: scratch (the student on clicks alone), fm. ``train``, ``valid``, ``test``: rows, as a table or an
    iterable of tables (polars, pandas, arrow), that take the place of the files which the configuration names.
    ``teacher``: a function from a polars table of raw rows, with every column of the log, to their scores (n,), which
    ``teacher: {scores: NAME, kind: ...}`` gives a name; its scores are kept under it, so another needs another name.
    ``memory``: bytes that preparing the rows may hold, about. ``reuse``: runs, made from the same rows, whose finished
    phases are taken over where a phase of this run would be made from equal inputs. What is finished is not done
    again, what was interrupted continues, what depends on a changed key is redone. Raises InputError for wrong input,
    naming file, row or key.
    """
    home = Path(source).resolve().parent if isinstance(source, str | Path) else Path.cwd()
    given = _spooled({"train": train, "valid": valid, "test": test}, home / STORE)
    config = load_config(source, [*overrides, *given])
    directory = Path(run) if run is not None else default_directory(source)
    if seeds < 1:
        raise InputError(f"seeds is {seeds}, expected 1 or more")
    baselines = _known(baselines)
    if teacher is not None and (config.scores is None or config.scores.key is not None):
        raise InputError(
            "teacher: a function needs a name and what it gives in the configuration; expected "
            "teacher: {scores: NAME, kind: logit} or kind: probability"
        )
    # Before the data is read, which may take long.
    device = device_of(config.training.device)
    if any(one.network == "boosted" for one in config.teacher):
        lightgbm()
    if config.warm_up is not None and not Path(config.warm_up).is_dir():
        raise InputError(f"warm_up: {config.warm_up}: no such run or phase directory")
    others = _runs(reuse)
    with claim(directory):
        watch = progress or LoggedProgress()

        def prepare_rows(config: Config) -> Prepared:
            return prepare(config, home, watch, memory, teacher)

        prepared = prepare_rows(config)
        keep_freed_memory()
        found = None
        if config.memorize.keys == "auto":
            with at_work(config.training.threads, watch):
                found = find_memory(config, prepared, prepare_rows, home, device, watch)
            for line in memory_told(found.facts):
                watch.line(line)
            others = (*others, found.directory)
            config = config.memorizing(found.keys)
            prepared = prepare_rows(config)
        describe(directory, config, prepared)
        pretrained = PretrainedVectors.read(config, prepared)
        for line in told(pretrained):
            watch.line(line)
        if config.scores is not None:
            watch.line(
                f"teacher: scores '{config.scores.scores}'; the student's embedding starts at random, and there are no "
                "recombined rows: scores are of the log's rows alone"
            )
        elif config.extra_fields and config.distillation.recombined == 0:
            watch.line(
                f"no recombined rows: what the extra fields ({listed(sorted(config.extra_fields))}) tell is of the row "
                "that was logged; set distillation.recombined where it is of the user or the item alone"
            )
        elif config.distillation.recombined > 0 and config.recombination is None:
            wanted = "two sides" if config.distillation.pool == "sides" else "two columns"
            watch.line(f"no recombined rows: there are no {wanted} to take them from")
        story = Story(
            config,
            prepared,
            pretrained,
            directory,
            device,
            several=seeds > 1,
            progress=watch,
            baselines=baselines,
            reuse=others,
            memory=found.facts if found else None,
        )
        with at_work(config.training.threads, watch):
            for seed in range(config.training.seed, config.training.seed + seeds):
                story.tell(seed)
        return Run(directory, story.end())


def _spooled(rows: Mapping[str, Any], store: Path) -> list[str]:
    """The overrides that put rows from memory, written below ``store``, in the place of files."""
    given = {f"data.{part}": str(spool(table, store, part)) for part, table in rows.items() if table is not None}
    # The files' format is not theirs; a suffix says what the files that stay are.
    formats = {"data.format": None} if given else {}
    return [f"{key}={json.dumps(value)}" for key, value in {**given, **formats}.items()]


def _runs(given: Iterable[str | Path]) -> tuple[Path, ...]:
    """The directories of ``reuse``; raises InputError for one that is no run."""
    runs = tuple(map(Path, given))
    for run in runs:
        if not is_run(run):
            raise InputError(f"reuse: {run}: not a run; expected a directory that 'dagfm fit' has written")
    return runs


def _known(baselines: Iterable[Baseline]) -> tuple[Baseline, ...]:
    baselines, valid = tuple(baselines), get_args(Baseline)
    for name in baselines:
        if name not in valid:
            raise InputError(f"baseline '{name}': unknown baseline; valid: {listed(valid)}.{suggestion(name, valid)}")
    return baselines
