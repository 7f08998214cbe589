"""One phase of one model: trained unless that is done, measured on held-out rows, sealed with its line of results."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dagfm.config.networks import NetworkConfig
from dagfm.config.phases import PhaseConfig
from dagfm.data.array_files import write_array
from dagfm.data.batches import Batches
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32, Indices
from dagfm.nn.model import CTRModel
from dagfm.training.checkpoint import remove_checkpoint, write_tensors
from dagfm.training.judging import METRICS
from dagfm.training.loop import WEIGHTS, Task, train
from dagfm.training.reuse import Wanted
from dagfm.training.scoring import Scores, chunks_of, evaluate, figures, score_chunks, scores_of, scoring_speed
from dagfm.training.stage import Stage
from dagfm.training.teacher_logits import TeacherLogits
from dagfm.training.warm_up import WarmUp
from dagfm.training.workshop import JUDGED, Entry, Trained, Workshop, logits_file


def run_phase(
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
        shop.hiding,
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
        counts=shop.trained_counts(network),
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


def _title(shop: Workshop, label: Mapping[str, str], settings: PhaseConfig) -> str:
    """What the progress bar calls a phase."""
    if label["role"] != "baseline":
        return f"{label['phase']} of {label['name']} (seed {shop.seed})"
    return f"baseline {label['name']}, decay {settings.decay:.3g}, dropout {settings.dropout:.3g} (seed {shop.seed})"
