"""The phases of knowledge distillation: what each starts from, learns from and leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagfm.config.boosted import BoostedConfig
from dagfm.config.networks import FMConfig, NetworkConfig
from dagfm.config.phases import PhaseConfig, ScratchConfig
from dagfm.data.batches import Batches
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32, Indices
from dagfm.files import write_array
from dagfm.nn.model import CTRModel
from dagfm.training.checkpoint import remove_checkpoint, write_tensors
from dagfm.training.first_embedding import start_embedding
from dagfm.training.judging import METRICS
from dagfm.training.loop import WEIGHTS, Task, train
from dagfm.training.reuse import Wanted
from dagfm.training.scoring import Scores, chunks_of, evaluate, figures, score_chunks, scores_of, scoring_speed
from dagfm.training.stage import Stage
from dagfm.training.teacher_logits import TeacherLogits
from dagfm.training.twin import start_as, twin_of
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import JUDGED, Entry, Trained, Workshop, logits_file

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
    return _phase(
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

    return _phase(
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

    return _phase(
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
            tried.append(_phase(shop, stage, network, label, start=lambda model: None, settings=one, logits=logits))
    monitor, sign = settings.monitor, -1.0 if settings.monitor == "auc" else 1.0
    return min(tried, key=lambda trained: sign * trained.valid[monitor])


def regularised(decay: Any, dropout: Any) -> str:
    """The folder of a baseline with this regularisation."""
    return f"decay-{decay:g}-dropout-{dropout:g}"


def _phase(
    shop: Workshop,
    stage: Stage,
    network: NetworkConfig,
    label: Mapping[str, str],
    *,
    start: Callable[[CTRModel], None],
    settings: PhaseConfig,
    alpha: float = 1.0,
    beta: float = 0.0,
    logits: TeacherLogits | None = None,
    recombined: float = 0.0,
    unlabelled: bool = False,
    purpose: str | None = None,
    among: Indices | None = None,
) -> Trained:
    """Train one model in one stage, unless that is done; evaluate it; seal the stage with its line of results."""
    named = label["role"] != "teacher"
    shop.reuse.take([Wanted(stage, _title(shop, label, settings), label["name"], named)], shop.progress)
    facts = stage.open()
    if facts is not None:
        shop.progress.line(f"{_title(shop, label, settings)} is done")
        remove_checkpoint(stage.directory)  # a kill just after the seal leaves it
        return _measured(shop, stage, network, facts, logits)
    purpose = purpose or f"{label['role']}/{label['name']}/{label['phase']}"
    model = shop.model(network, purpose)
    start(model)
    model.embedding.restore_held()
    prepared = shop.prepared
    seed = shop.seed_of(purpose)
    valid = logits.read("valid") if logits else None
    pool = logits.pool() if logits is not None and recombined > 0 else None
    batches = Batches(
        prepared.train,
        prepared.encoder,
        shop.batch_size,
        seed,
        logits.read("train") if logits and beta > 0 else None,
        pool,
        recombined,
        unlabelled,
        among,
    )
    task = Task(
        title=_title(shop, label, settings),
        settings=settings,
        epochs=int(settings.epochs),
        decay=float(settings.decay),
        dropout=float(settings.dropout),
        alpha=alpha,
        beta=beta,
        batches=batches,
        evaluate=lambda current: evaluate(current, prepared.valid, valid, shop.sampling),
        counts=shop.view(network).counts,
        seed=seed,
    )
    outcome = train(model, task, stage.directory, shop.progress)
    how = {
        "training_rows_per_second": outcome.rows_per_second,
        "training_seconds": outcome.seconds,
        "best_epoch": outcome.best_epoch,
        "epochs": outcome.epochs,
        "learning_rate": outcome.learning_rate,
        "decay": settings.decay,
        "dropout": settings.dropout,
    }
    trained = _finish(shop, stage, model, {**label, **how}, logits, [WEIGHTS, METRICS])
    remove_checkpoint(stage.directory)
    return trained


def take_over(
    shop: Workshop,
    name: str,
    network: NetworkConfig,
    role: str,
    warm_up: WarmUp,
    directory: Path,
    logits: TeacherLogits | None = None,
) -> Trained:
    """Make an earlier run's weights a finished phase of this run: mapped by token and evaluated, not trained."""
    phase = "teacher_training" if role == "teacher" else "distillation"
    stage = Stage(directory, shop.inputs(network, "network", made_from={"warm_up": warm_up.fingerprint}))
    facts = stage.open()
    if facts is not None:
        return _measured(shop, stage, network, facts, logits)
    model = shop.model(network, f"{role}/{name}/{phase}")
    warm_up.load_into(model, shop.view(network).encoder)
    model.fill_untrained(shop.view(network).counts)
    write_tensors(directory / WEIGHTS, model.state_dict())
    line = {
        "name": name,
        "role": role,
        "phase": phase,
        "training_rows_per_second": None,
        "warm_up": str(warm_up.directory),
    }
    return _finish(shop, stage, model, line, logits, [WEIGHTS])


def _measured(
    shop: Workshop, stage: Stage, network: NetworkConfig, facts: Mapping[str, Any], logits: TeacherLogits | None
) -> Trained:
    """A finished phase, measured again where its teacher is another by now or an older dagfm has kept no logits."""
    done = Trained(stage.directory, stage.fingerprint, network, facts["result"])
    same_teacher = facts.get("measured_against") == (logits.fingerprint if logits else None)
    if same_teacher and all(logits_file(part) in facts["files"] for part in JUDGED):
        return done
    return _finish(shop, stage, shop.trained(done), done.entry, logits, list(facts["files"]))


def _finish(
    shop: Workshop,
    stage: Stage,
    model: CTRModel,
    line: Mapping[str, Any],
    logits: TeacherLogits | None,
    names: list[str],
) -> Trained:
    """Evaluate a model with its final weights and seal its stage with its line of results, of which ``line`` says what
    only training knows."""
    measured = {
        part: measure(shop, stage.directory, scores_of(model), part, logits.read(part) if logits else None)
        for part in JUDGED
    }
    result: Entry = {
        "name": line["name"],
        "role": line["role"],
        "network": model.config.network,
        "phase": line["phase"],
        "seed": shop.seed,
        "parameters": model.network_parameters,
        "multiply_adds": model.network.multiply_adds,
        "scoring_rows_per_second": scoring_speed(scores_of(model), shop.prepared.test),
        **line,
        "metrics": measured,
    }
    facts = {
        "result": result,
        "network": model.config.definition,
        "embedding_size": model.size,
        "measured_against": logits.fingerprint if logits else None,
        **({"pretrained": shop.pretrained.facts} if shop.pretrained.fields else {}),
    }
    stage.finish({*names, *map(logits_file, JUDGED)}, facts)
    return Trained(stage.directory, stage.fingerprint, model.config, result)


def measure(shop: Workshop, directory: Path, scores: Scores, part: str, teacher: Float32 | None) -> dict[str, Any]:
    """Score the rows of a part, keep the logits in ``directory``, and return their figures."""
    dataset: Dataset = getattr(shop.prepared, part)
    logits = score_chunks(scores, chunks_of(dataset.rows), len(dataset))
    write_array(directory / logits_file(part), logits)
    return figures(dataset, logits, teacher, shop.sampling)


def _is_boosted(trained: Trained) -> bool:
    return isinstance(trained.network, BoostedConfig)


def _title(shop: Workshop, label: Mapping[str, str], settings: PhaseConfig) -> str:
    """What the progress bar calls a phase."""
    if label["role"] != "baseline":
        return f"{label['phase']} of {label['name']} (seed {shop.seed})"
    return f"baseline {label['name']}, decay {settings.decay:.3g}, dropout {settings.dropout:.3g} (seed {shop.seed})"
