"""One run, from a configuration to a run directory: teachers, their logits, students, baselines, results, bundle."""

from __future__ import annotations

import json
import logging
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import torch

from dagfm.config import Config, load_config
from dagfm.config.boosted import BoostedConfig
from dagfm.config.models import Baseline
from dagfm.config.networks import DAGFMConfig, FMConfig
from dagfm.data.dataset import Prepared
from dagfm.data.log import spool
from dagfm.data.prepare import MEMORY, STORE, prepare
from dagfm.data.scores import ScoreFunction
from dagfm.data.split import PARTS
from dagfm.errors import InputError, listed, suggestion
from dagfm.files import write_json
from dagfm.progress import LoggedProgress, Progress
from dagfm.report.results import assemble
from dagfm.run.bundling import bundle_of
from dagfm.run.directory import claim, default_directory, describe, place_of
from dagfm.serving.bundle import holds, write_bundle
from dagfm.serving.scorer import Scorer, load
from dagfm.training.allocator import keep_freed_memory
from dagfm.training.boosted import train_boosted
from dagfm.training.phases import distil, finetune, take_over, train_baseline, train_teacher
from dagfm.training.pretrained import PretrainedVectors, told
from dagfm.training.sampling import Sampling
from dagfm.training.teacher_logits import TeacherLogits, ensemble_entry, scores_entry, write_teacher_logits
from dagfm.training.trees import lightgbm
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import Entry, Trained, Workshop

log = logging.getLogger(__name__)


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
) -> Run:
    """Train teacher and students as ``source`` says and leave metrics, results and a bundle in ``run``.

    ``source``: a YAML file, a mapping or a ``Config``; ``run`` defaults to ``runs/<name of the file>``; ``overrides``:
    ``key=value`` as ``--set`` takes them; ``seeds`` repeats everything with ``training.seed`` and the seeds after it;
    ``baselines``: scratch (the student on clicks alone), fm. ``train``, ``valid``, ``test``: rows, as a table or an
    iterable of tables (polars, pandas, arrow), that take the place of the files which the configuration names.
    ``teacher``: a function from a polars table of raw rows, with every column of the log, to their scores (n,), which
    ``teacher: {scores: NAME, kind: ...}`` gives a name; its scores are kept under it, so another needs another name.
    ``memory``: bytes that preparing the rows may hold, about. What is finished is not done again, what was interrupted
    continues, what depends on a changed key is redone. Raises InputError for wrong input, naming file, row or key.
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
    device = _device(config.training.device)
    if any(one.network == "boosted" for one in config.teacher):
        lightgbm()
    if config.warm_up is not None and not Path(config.warm_up).is_dir():
        raise InputError(f"warm_up: {config.warm_up}: no such run or phase directory")
    with claim(directory):
        watch = progress or LoggedProgress()
        prepared = prepare(config, home, watch, memory, teacher)
        keep_freed_memory()
        describe(directory, config, prepared)
        pretrained = PretrainedVectors.read(config, prepared)
        for line in told(pretrained):
            watch.line(line)
        if config.scores is not None:
            watch.line(
                f"teacher: scores '{config.scores.scores}'; the student's embedding starts at random, and there are no "
                "recombined rows: scores are of the log's rows alone"
            )
        elif config.distillation.recombined > 0 and config.recombination is None:
            wanted = "two sides" if config.distillation.pool == "sides" else "two columns"
            watch.line(f"no recombined rows: there are no {wanted} to take them from")
        story = _Story(
            config,
            prepared,
            pretrained,
            directory,
            device,
            several=seeds > 1,
            progress=watch,
            baselines=baselines,
        )
        with _threads(config.training.threads), _closing(watch):
            for seed in range(config.training.seed, config.training.seed + seeds):
                story.tell(seed)
        return Run(directory, story.end())


class _Story:
    """The models of a run, seed after seed."""

    def __init__(
        self,
        config: Config,
        prepared: Prepared,
        pretrained: PretrainedVectors,
        directory: Path,
        device: torch.device,
        *,
        several: bool,
        progress: Progress,
        baselines: tuple[Baseline, ...],
    ) -> None:
        self.config, self.prepared, self.directory, self.device = config, prepared, directory, device
        self.pretrained = pretrained
        self.several, self.progress, self.baselines = several, progress, baselines
        self.entries: list[Entry] = []
        self.calibrations: list[dict[str, Any]] = []
        self.servable: dict[str, list[Trained]] = {name: [] for name, _ in config.named("student")}

    def tell(self, seed: int) -> None:
        """Everything there is to train with one seed."""
        shop = Workshop(self.config, self.prepared, seed, self.device, self.progress, self.pretrained)
        phase = self.config.phase
        teacherless = phase == "finetuning" and self.config.finetuning.kd_weight == 0
        teachers = [] if teacherless or self.config.scores is not None else self._teachers(shop)
        logits = None if teacherless else self._logits(shop, teachers)
        if phase != "teacher_training":
            for name, network in self.config.named("student"):
                self._student(shop, name, network, teachers, logits)
        if phase is None:
            self._baselines(shop, logits)

    def end(self) -> dict[str, Any]:
        """Choose what to serve by validation figures, write the bundles and the results."""
        served = {name: min(models, key=self._merit) for name, models in self.servable.items() if models}
        for name, model in served.items():
            if len(served) > 1:
                self._bundle(self.directory / "bundles" / name, model)
        self._remove_bundles(keep=served if len(served) > 1 else ())
        chosen = min(served.values(), key=self._merit) if served else None
        if chosen is not None:
            self._bundle(self.directory / "bundle", chosen)
        elif (self.directory / "bundle").exists():
            self.progress.line(f"{self.directory / 'bundle'} is of an earlier fit: this one made no student")
        results = assemble(
            self.directory,
            rows=self._rows(),
            models=self.entries,
            served_by_seed=[model.entry for models in self.servable.values() for model in models],
            served=chosen.entry if chosen else None,
            weighted=any(getattr(self.prepared, part).weights is not None for part in PARTS),
            sampling=self._sampling(),
            pretrained=self.pretrained.facts,
            data=self.prepared.facts,
            calibration=self.calibrations,
        )
        write_json(self.directory / "results.json", results)
        return results

    def _rows(self) -> dict[str, int]:
        unlabelled = self.prepared.train.unlabelled
        return {
            **{part: len(getattr(self.prepared, part)) for part in PARTS},
            **({"unlabelled": unlabelled} if unlabelled else {}),
        }

    def _sampling(self) -> dict[str, float] | None:
        if self.config.data.negatives is None:
            return None
        sampling = Sampling.of(self.config.data.negatives)
        return {
            "negatives_kept": sampling.share,
            "logit_shift": sampling.shift,
            "negatives_of_valid_and_test_weigh": sampling.negatives_weigh,
        }

    def _bundle(self, directory: Path, student: Trained) -> None:
        bundle = bundle_of(self.config, self.prepared, student)
        if not holds(directory, bundle):
            write_bundle(directory, bundle)

    def _remove_bundles(self, keep: Collection[str]) -> None:
        """Remove the bundles of students that the configuration no longer names."""
        for bundle in (self.directory / "bundles").glob("*"):
            if bundle.name not in keep:
                log.info("removed %s: that student is no longer configured", bundle)
                shutil.rmtree(bundle)

    def _teachers(self, shop: Workshop) -> list[Trained]:
        phase, warm_up = self.config.phase, self.config.warm_up
        trained: list[Trained] = []
        equal: Counter[str] = Counter()
        for name, network in self.config.named("teacher"):
            kind = json.dumps([network.definition, network.size, network.training], sort_keys=True)
            equal[kind] += 1
            place = self._place("teacher_training", name, seed=shop.seed)
            source = WarmUp.find(Path(warm_up), ("teacher_training",), name) if warm_up is not None else None
            if isinstance(network, BoostedConfig):
                teacher = train_boosted(shop, name, network, place, replica=equal[kind])
            elif source is None or phase == "teacher_training":
                teacher = train_teacher(shop, name, network, place, source, replica=equal[kind])
            else:
                teacher = take_over(shop, name, network, "teacher", source, place)
            trained.append(teacher)
            self.entries.append(teacher.entry)
        return trained

    def _logits(self, shop: Workshop, teachers: list[Trained]) -> TeacherLogits:
        logits = write_teacher_logits(shop, teachers, self._place("teacher_logits", seed=shop.seed))
        self.calibrations.append({"seed": shop.seed, **logits.calibration})
        if len(teachers) > 1:
            self.entries.append(ensemble_entry(shop, teachers, logits))
        elif not teachers:
            ((name, _),) = self.config.named("teacher")
            self.entries.append(scores_entry(shop, name, logits))
        return logits

    def _student(
        self, shop: Workshop, name: str, network: DAGFMConfig, teachers: list[Trained], logits: TeacherLogits | None
    ) -> None:
        place = self._place("distillation", name, seed=shop.seed)
        if self.config.phase == "finetuning":
            source = WarmUp.find(Path(str(self.config.warm_up)), ("distillation", "finetuning"), name)
            distilled = take_over(shop, name, network, "student", source, place, logits)
        else:
            assert logits is not None, "without finetuning alone there is a teacher"
            distilled = distil(shop, name, network, logits, teachers, place)
        self.entries.append(distilled.entry)
        models = [distilled]
        if self.config.phase != "distillation":
            start = WarmUp.of(distilled.directory)
            place = self._place("finetuning", name, seed=shop.seed)
            models.append(finetune(shop, name, network, logits, start, place))
            self.entries.append(models[-1].entry)
        self.servable[name].append(min(models, key=self._merit))

    def _baselines(self, shop: Workshop, logits: TeacherLogits | None) -> None:
        students = self.config.named("student")
        if "scratch" in self.baselines:
            for name, network in students:
                called = "scratch" if len(students) == 1 else f"scratch-{name}"
                self._baseline(shop, called, network, logits)
        if "fm" in self.baselines:
            self._baseline(shop, "fm", FMConfig(), logits)

    def _baseline(
        self, shop: Workshop, name: str, network: DAGFMConfig | FMConfig, logits: TeacherLogits | None
    ) -> None:
        training = self.config.training
        settings = training.fm if isinstance(network, FMConfig) else training.scratch
        place = self._place("baselines", name, seed=shop.seed)
        self.entries.append(train_baseline(shop, name, network, settings, logits, place).entry)

    def _merit(self, model: Trained) -> float:
        """Smaller is better: the validation figure that decides what is served."""
        monitor = self.config.training.finetuning.monitor
        figure = model.valid[monitor]
        return -figure if monitor == "auc" else figure

    def _place(self, *parts: str, seed: int) -> Path:
        return place_of(self.directory, *parts, seed=seed, several=self.several)


def _spooled(rows: Mapping[str, Any], store: Path) -> list[str]:
    """The overrides that put rows from memory, written below ``store``, in the place of files."""
    given = {f"data.{part}": str(spool(table, store, part)) for part, table in rows.items() if table is not None}
    # The files' format is not theirs; a suffix says what the files that stay are.
    formats = {"data.format": None} if given else {}
    return [f"{key}={json.dumps(value)}" for key, value in {**given, **formats}.items()]


def _known(baselines: Iterable[Baseline]) -> tuple[Baseline, ...]:
    baselines, valid = tuple(baselines), get_args(Baseline)
    for name in baselines:
        if name not in valid:
            raise InputError(f"baseline '{name}': unknown baseline; valid: {listed(valid)}.{suggestion(name, valid)}")
    return baselines


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("training.device: 'cuda' is not available on this machine; valid here: auto, cpu")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


@contextmanager
def _closing(watch: Progress) -> Iterator[None]:
    """Take the progress bar down however the run ends, so that what is printed next is seen."""
    try:
        yield
    finally:
        watch.finish()


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Torch's thread count for the length of a run; the caller's setting comes back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
