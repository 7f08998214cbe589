"""The phases of knowledge distillation: what each starts from, learns from and leaves behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagfm.config.boosted import BoostedConfig
from dagfm.config.networks import FMConfig, NetworkConfig
from dagfm.config.phases import PhaseConfig, ScratchConfig
from dagfm.encoding.rows import Indices
from dagfm.nn.model import CTRModel
from dagfm.training.first_embedding import start_embedding
from dagfm.training.one_phase import run_phase
from dagfm.training.stage import Stage
from dagfm.training.teacher_logits import TeacherLogits
from dagfm.training.twin import start_as, twin_of
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import Trained, Workshop

_TOLD_ELSEWHERE = {"recombined_cap", "combine", "calibrate", "clip", "recombined_from", "pool", "network"}
"""Keys of distillation that are told by the teacher's logits, or by what is started from."""


@dataclass(frozen=True)
class Fold:
    """What a network is trained on so that it can be asked about the rows it has not seen."""

    number: int
    of: int
    rows: Indices
    """(m,) the training rows outside this fold, ascending."""

    @property
    def title(self) -> str:
        """Which of how many."""
        return fold_title(self.number, self.of)


def fold_title(number: int, of: int) -> str:
    """What a fold, counted from 1, is called among the inputs of a stage."""
    return f"{number} of {of}"


def teacher_stage(
    shop: Workshop,
    network: NetworkConfig,
    directory: Path,
    warm_up: WarmUp | None = None,
    replica: int = 1,
    fold: str | None = None,
) -> Stage:
    """The stage of a teacher's training; ``fold`` says which of how many."""
    settings = shop.settled(network.settings(shop.config.training.teacher_training), network)
    return Stage(
        directory,
        shop.inputs(
            network,
            "teacher",
            replica=replica,
            training={"teacher_training": settings.model_dump()},
            made_from={"warm_up": warm_up.fingerprint if warm_up else None},
            **({"fold": fold} if fold else {}),
        ),
    )


def train_teacher(
    shop: Workshop,
    name: str,
    network: NetworkConfig,
    directory: Path,
    warm_up: WarmUp | None = None,
    replica: int = 1,
    fold: Fold | None = None,
) -> Trained:
    """Phase 1: embedding and teacher on the clicks, by the network's own loss; with ``fold`` on its rows alone.

    ``replica`` numbers members that are otherwise equal; of the names, which may change, the weights know nothing.
    """
    settings = shop.settled(network.settings(shop.config.training.teacher_training), network)
    stage = teacher_stage(shop, network, directory, warm_up, replica, fold.title if fold else None)
    return run_phase(
        shop,
        stage,
        network,
        {"name": name, "role": "teacher", "phase": "teacher_training"},
        start=lambda model: warm_up.load_into(model, shop.view(network).encoder) if warm_up else None,
        settings=settings,
        purpose=f"teacher/{replica}/fold-{fold.number}" if fold else f"teacher/{replica}/teacher_training",
        among=fold.rows if fold else None,
    )


def distil(
    shop: Workshop,
    name: str,
    network: NetworkConfig,
    logits: TeacherLogits,
    teachers: list[Trained],
    directory: Path,
) -> Trained:
    """Phase 3: the student learns the cached logits; of ``teachers`` only weights are read, to start from."""
    settings, how = shop.distillation, shop.config.distillation
    separate = how.head == "separate"
    twin = twin_of(network, teachers, shop) if how.embedding != "own" and how.network == "teacher" else None
    stage = Stage(
        directory,
        shop.inputs(
            network,
            "student",
            distillation=how.model_dump(exclude=_TOLD_ELSEWHERE if separate else {*_TOLD_ELSEWHERE, "head"}),
            training={"distillation": settings.model_dump()},
            made_from={
                "teacher logits": logits.fingerprint,
                **({} if twin is None else {"first weights": twin.fingerprint}),
            },
        ),
    )

    def start(model: CTRModel) -> None:
        if shop.config.random_start and shop.config.training.distillation.epochs == "auto":
            shop.progress.line(f"{name}: its embedding starts at random, which takes {settings.epochs} epochs")
        if twin is not None:
            shop.progress.line(f"{name} starts as {twin.entry['name']}, a teacher of its own kind")
            start_as(model, twin, frozen=how.embedding == "teacher_frozen")
        elif how.embedding != "own":
            # Of trees last: the networks below them have seen fewer rows.
            starts = [start for one in sorted(teachers, key=_is_boosted) for start in shop.embeddings_of(one)]
            start_embedding(model, starts, shop.view(network).counts, frozen=how.embedding == "teacher_frozen")
        if separate:
            model.grow_distillation_head(shop.seed_of(f"student/{name}/distillation head"))

    return run_phase(
        shop,
        stage,
        network,
        {"name": name, "role": "student", "phase": "distillation"},
        start=start,
        settings=settings,
        alpha=how.alpha,
        beta=how.beta,
        logits=logits,
        recombined=how.recombined if shop.config.recombination else 0.0,
        unlabelled=True,
    )


def finetune(
    shop: Workshop,
    name: str,
    network: NetworkConfig,
    logits: TeacherLogits | None,
    start_from: WarmUp,
    directory: Path,
) -> Trained:
    """Phase 4: student and embedding on the clicks, keeping a share of the distillation loss.

    Where the teacher had a head of its own, the served one on the clicks alone: nothing below it knows the teacher's
    logit by now, so nothing below it moves.
    """
    settings, how = shop.settled(shop.config.training.finetuning), shop.config.finetuning
    separate = shop.config.distillation.head == "separate"
    stage = Stage(
        directory,
        shop.inputs(
            network,
            "student",
            finetuning=how.model_dump(),
            training={"finetuning": settings.model_dump()},
            made_from={"student": start_from.fingerprint, "teacher logits": logits.fingerprint if logits else None},
            **({"distillation": {"head": "separate"}} if separate else {}),
        ),
    )

    def start(model: CTRModel) -> None:
        start_from.load_into(model, shop.view(network).encoder)
        if separate:
            model.train_only_the_head()

    return run_phase(
        shop,
        stage,
        network,
        {"name": name, "role": "student", "phase": "finetuning"},
        start=start,
        settings=settings,
        beta=0.0 if separate else how.kd_weight,
        logits=logits,
    )


def train_baseline(
    shop: Workshop,
    name: str,
    network: NetworkConfig,
    settings: ScratchConfig,
    logits: TeacherLogits | None,
    directory: Path,
) -> Trained:
    """The same student, or an FM, on clicks alone, with each of the given regularisations; the best on validation."""
    key = "fm" if isinstance(network, FMConfig) else "scratch"
    tried: list[Trained] = []
    for decay in settings.decay:
        for dropout in settings.dropout:
            one = shop.settled(PhaseConfig(**{**settings.model_dump(), "decay": decay, "dropout": dropout}))
            stage = Stage(
                directory / regularised(one.decay, one.dropout),
                shop.inputs(network, "student", training={key: one.model_dump()}),
            )
            label = {"name": name, "role": "baseline", "phase": "scratch"}
            tried.append(run_phase(shop, stage, network, label, start=lambda model: None, settings=one, logits=logits))
    monitor, sign = settings.monitor, -1.0 if settings.monitor == "auc" else 1.0
    return min(tried, key=lambda trained: sign * trained.valid[monitor])


def regularised(decay: Any, dropout: Any) -> str:
    """The folder of a baseline with this regularisation."""
    return f"decay-{decay:g}-dropout-{dropout:g}"


def _is_boosted(trained: Trained) -> bool:
    return isinstance(trained.network, BoostedConfig)
