"""The story of a run: teachers, their logits, students, baselines, what is served, and what results.json says of it."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dagfm.config import Config
from dagfm.config.models import Baseline
from dagfm.config.networks import DAGFMConfig, FMConfig
from dagfm.data.dataset import Prepared
from dagfm.data.split import PARTS
from dagfm.files import digest, read_json, write_json
from dagfm.progress import Progress
from dagfm.report.frontier import recommendation
from dagfm.report.results import assemble
from dagfm.run.bundling import bundle_of, completed
from dagfm.run.directory import CONFIG, RESULTS, place_of
from dagfm.run.evaluation import Evaluation
from dagfm.run.frontier import Contender, frontier
from dagfm.run.judging import Model, standard_errors
from dagfm.serving.bundle import holds, write_bundle
from dagfm.serving.timing import first_rows
from dagfm.training.members import Member, train_members
from dagfm.training.one_phase import take_over
from dagfm.training.phases import distil, finetune, regularised, train_baseline
from dagfm.training.pretrained import PretrainedVectors
from dagfm.training.reuse import Reuse
from dagfm.training.sampling import Sampling
from dagfm.training.teacher_logits import TeacherLogits, ensemble_entry, scores_entry, write_teacher_logits
from dagfm.training.view import View
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import Entry, Trained, Workshop

log = logging.getLogger(__name__)


class Story:
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
        reuse: tuple[Path, ...] = (),
        memory: Mapping[str, Any] | None = None,
    ) -> None:
        """``reuse``: other runs whose finished stages may be taken over; ``memory``: what ``memorize: auto`` found."""
        self.config, self.prepared, self.directory, self.device = config, prepared, directory, device
        self.pretrained, self.memory = pretrained, memory
        self.several, self.progress, self.baselines = several, progress, baselines
        self.reuse = Reuse((directory, *reuse))
        self.view = View.of(prepared, config.extra_fields)
        self.models: list[Model] = []
        self.calibrations: list[dict[str, Any]] = []
        self.caches: dict[int, TeacherLogits] = {}
        self.servable: dict[str, list[Trained]] = {name: [] for name, _ in config.named("student")}

    def tell(self, seed: int) -> None:
        """Everything there is to train with one seed."""
        shop = self._shop(seed)
        phase = self.config.phase
        teacherless = phase == "finetuning" and self.config.finetuning.kd_weight == 0
        teachers = [] if teacherless or self.config.scores is not None else self._teachers(shop)
        logits = None if teacherless else self._logits(shop, teachers)
        if phase != "teacher_training":
            for name, network in self.config.named("student"):
                self._student(shop, name, network, teachers, logits)
        if phase is None:
            self._baselines(shop, logits)

    def add(self, seed: int, fresh: Collection[str], earlier: Sequence[Entry]) -> None:
        """Train the ``fresh`` students with one seed, from the logits that are there; all other models stay as is.

        ``earlier``: this seed's lines of results. Nothing of a teacher is built: of its files an embedding is read,
        where students start from one. Raises InputError when one of these phases is not finished or is damaged.
        """
        shop = self._shop(seed)
        teachers = [
            Trained.standing(self._place("teacher_training", name, seed=seed), network)
            for name, network in self.config.named("teacher")
            if self.config.scores is None
        ]
        self.models += map(Model.of, teachers)
        logits = self._told(shop, teachers, TeacherLogits.standing(self._place("teacher_logits", seed=seed)))
        for name, network in self.config.named("student"):
            if name in fresh:
                self._student(shop, name, network, teachers, logits)
                continue
            phases = [self._place(phase, name, seed=seed) for phase in ("distillation", "finetuning")]
            self._finished(name, [Trained.standing(place, network) for place in phases])
        for entry in earlier:
            if entry["role"] == "baseline":
                place = self._place("baselines", entry["name"], seed=seed)
                self.models.append(Model.standing(place / regularised(entry["decay"], entry["dropout"])))

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
        results = self._results(served, chosen)
        write_json(self.directory / RESULTS, results)
        return results

    def _results(self, served: Mapping[str, Trained], chosen: Trained | None) -> dict[str, Any]:
        contest = self._frontier(served, chosen)
        sampling = Sampling.of(self.config.data.negatives)
        evaluation = Evaluation(self.config.evaluation, self.prepared, sampling)
        lines = {model.key: evaluation.entry(model) for model in self.models}
        servable = [Model.of(trained) for students in self.servable.values() for trained in students]
        return assemble(
            self.directory,
            rows=self._rows(),
            models=[lines[model.key] for model in self.models],
            served_by_seed=[lines[model.key] for model in servable],
            served=chosen.entry if chosen else None,
            weighted=any(getattr(self.prepared, part).weights is not None for part in PARTS),
            sampling=self._sampling(),
            pretrained=self.pretrained.facts,
            data=self.prepared.facts,
            calibration=self.calibrations,
            reused=self._reused(),
            config=digest(self.directory / CONFIG),
            memorize=self.memory,
            frontier=contest,
            recommended=recommendation(contest, self.config.training.finetuning.monitor),
            errors=standard_errors(self.models, servable, self.prepared.test, sampling),
            evaluation=evaluation.told(Model.of(chosen) if chosen else None, self._teacher_of(chosen)),
        )

    def _teacher_of(self, student: Trained | None) -> Model | None:
        """Whom a student has learnt from: of several teachers their mean, which comes last."""
        found = [one for one in self.models if student and one.entry["role"] == "teacher" and one.seed == student.seed]
        return found[-1] if found else None

    def _frontier(self, served: Mapping[str, Trained], chosen: Trained | None) -> list[dict[str, Any]]:
        """Accuracy and cost of every student's bundle, where there are several."""
        if chosen is None or len(served) < 2:
            return []
        contenders = [
            Contender(Model.of(one), one.fingerprint, self.directory / "bundles" / name, self.caches.get(one.seed))
            for name, one in served.items()
        ]
        results = self.directory / RESULTS
        earlier = read_json(results).get("frontier", ()) if results.exists() else ()
        return frontier(
            contenders,
            best=chosen.entry["name"],
            monitor=self.config.training.finetuning.monitor,
            valid=self.prepared.valid,
            rows=self.view.pick(first_rows(self.prepared.test.rows)),
            sampling=Sampling.of(self.config.data.negatives),
            earlier=earlier,
        )

    def _reused(self) -> list[dict[str, Any]]:
        """What was taken over from other runs, and how long its training took there."""
        models = [model.entry for model in self.models]
        return [
            *(
                {**{key: entry[key] for key in ("name", "phase", "seed")}, **entry["reused"]}
                for entry in models
                if "reused" in entry
            ),
            *(
                {"name": None, "phase": "teacher_logits", "seed": seed, **logits.reused}
                for seed, logits in self.caches.items()
                if logits.reused is not None
            ),
        ]

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
        bundle = bundle_of(self.config, self.view, student)
        if not holds(directory, bundle):
            sampling = Sampling.of(self.config.data.negatives)
            write_bundle(directory, completed(bundle, self.view, self.prepared, sampling))

    def _remove_bundles(self, keep: Collection[str]) -> None:
        """Remove the bundles of students that the configuration no longer names."""
        for bundle in (self.directory / "bundles").glob("*"):
            if bundle.name not in keep:
                log.info("removed %s: that student is no longer configured", bundle)
                shutil.rmtree(bundle)

    def _teachers(self, shop: Workshop) -> list[Trained]:
        phase, warm_up = self.config.phase, self.config.warm_up
        members = [
            Member(
                name,
                network,
                self._place("teacher_training", name, seed=shop.seed),
                None if warm_up is None else WarmUp.find(Path(warm_up), ("teacher_training",), name),
                trained_anew=warm_up is None or phase == "teacher_training",
            )
            for name, network in self.config.named("teacher")
        ]
        trained = train_members(shop, members)
        self.models += map(Model.of, trained)
        return trained

    def _logits(self, shop: Workshop, teachers: list[Trained]) -> TeacherLogits:
        return self._told(
            shop, teachers, write_teacher_logits(shop, teachers, self._place("teacher_logits", seed=shop.seed))
        )

    def _told(self, shop: Workshop, teachers: list[Trained], logits: TeacherLogits) -> TeacherLogits:
        """The logits, once what they say of the teacher is among the results."""
        self.caches[shop.seed] = logits
        self.calibrations.append({"seed": shop.seed, **logits.calibration})
        if len(teachers) > 1:
            self.models.append(Model.cached(ensemble_entry(shop, teachers, logits), logits))
        elif not teachers:
            ((name, _),) = self.config.named("teacher")
            self.models.append(Model.cached(scores_entry(shop, name, logits), logits))
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
        models = [distilled]
        if self.config.phase != "distillation":
            start = WarmUp.of(distilled.directory)
            place = self._place("finetuning", name, seed=shop.seed)
            models.append(finetune(shop, name, network, logits, start, place))
        self._finished(name, models)

    def _finished(self, name: str, phases: list[Trained]) -> None:
        """A student's phases are over: the best on validation may be served."""
        self.models += map(Model.of, phases)
        self.servable[name].append(min(phases, key=self._merit))

    def _baselines(self, shop: Workshop, logits: TeacherLogits | None) -> None:
        students = self.config.named("student")
        if "scratch" in self.baselines:
            for name, network in students:
                # The one that a run began with keeps its baseline when students are added to it.
                called = "scratch" if len(students) == 1 or name == "student" else f"scratch-{name}"
                self._baseline(shop, called, network, logits)
        if "fm" in self.baselines:
            self._baseline(shop, "fm", FMConfig(), logits)

    def _baseline(
        self, shop: Workshop, name: str, network: DAGFMConfig | FMConfig, logits: TeacherLogits | None
    ) -> None:
        training = self.config.training
        settings = training.fm if isinstance(network, FMConfig) else training.scratch
        place = self._place("baselines", name, seed=shop.seed)
        self.models.append(Model.of(train_baseline(shop, name, network, settings, logits, place)))

    def _shop(self, seed: int) -> Workshop:
        return Workshop(self.config, self.prepared, seed, self.device, self.progress, self.pretrained, self.reuse)

    def _merit(self, model: Trained) -> float:
        """Smaller is better: the validation figure that decides what is served."""
        monitor = self.config.training.finetuning.monitor
        figure = model.valid[monitor]
        return -figure if monitor == "auc" else figure

    def _place(self, *parts: str, seed: int) -> Path:
        return place_of(self.directory, *parts, seed=seed, several=self.several)
