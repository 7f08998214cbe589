"""The training loop of every phase: shuffled batches, one loss, early stopping, checkpoints that resume exactly."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from dagfm.config.phases import PhaseConfig
from dagfm.data.batches import Batches, Examples
from dagfm.encoding.rows import Int64
from dagfm.errors import DagfmError
from dagfm.nn.batch import Batch
from dagfm.nn.model import CTRModel
from dagfm.progress import Progress
from dagfm.training.averaging import WeightAverage
from dagfm.training.checkpoint import load_checkpoint, save_checkpoint, write_tensors
from dagfm.training.judging import Judge, evaluation_points
from dagfm.training.losses import blended_loss, separate_loss, terms_of
from dagfm.training.optimizers import Optimizer
from dagfm.training.rate_probe import probed_rate
from dagfm.training.schedules import learning_rate

WEIGHTS = "weights.safetensors"
"""What a finished phase leaves, beside the line of every evaluation."""

CHECKPOINT_SECONDS = 60.0
"""Between evaluations a checkpoint is written this often; after each of them always."""

Evaluate = Callable[[CTRModel], dict[str, float | None]]


@dataclass(frozen=True)
class Task:
    """What one phase trains on, towards what, and for how long."""

    title: str
    settings: PhaseConfig
    epochs: int
    decay: float
    dropout: float
    alpha: float
    """Weight of the clicks; where the teacher has a head of its own, of their gradient below the heads."""
    beta: float
    """Weight of the teacher; 0 trains on the clicks alone, by the network's own loss."""
    batches: Batches
    evaluate: Evaluate
    """Validation figures of the model: auc, logloss, logit_mse."""
    counts: Int64
    """How often each table row occurs in the training rows."""
    seed: int


@dataclass
class _Position:
    """Where training stands; all of it goes into the checkpoint."""

    epoch: int = 0
    batch: int = 0
    loss: float = 0.0
    """Sum over the batches since the last evaluation."""
    batches: int = 0
    """Since the last evaluation."""
    rows: int = 0
    seconds: float = 0.0
    """Rows trained on and the time that took, evaluation not counted."""
    peak: float = 0.0
    """The learning rate at its highest; 0 until it is known."""


@dataclass(frozen=True)
class Outcome:
    """What a finished phase has to say."""

    learning_rate: float
    """At its highest."""

    best_epoch: float
    """Epochs that had passed when the kept weights were found; whole unless they were found inside an epoch."""
    epochs: float
    """Epochs trained."""
    rows_per_second: float
    seconds: float


def train(model: CTRModel, task: Task, directory: Path, progress: Progress) -> Outcome:
    """Train ``model`` in place and leave the weights of its best evaluation in it and in ``WEIGHTS``.

    Continues from the checkpoint in ``directory`` if there is one, to the same bytes as an uninterrupted run. The last
    checkpoint stays: until the caller has sealed the stage, a kill costs nothing. Raises DagfmError when the loss is
    not finite, InputError when the checkpoint is damaged.
    """
    device = model.embedding.weight.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(task.seed)
        run = _Training(model, task, directory, progress)
        run.train()
    return run.finish()


class _Training:
    """One run of the loop: the model, its optimizer, the best weights so far and the position."""

    def __init__(self, model: CTRModel, task: Task, directory: Path, progress: Progress) -> None:
        self.model, self.task, self.directory, self.progress = model, task, directory, progress
        self.device = model.embedding.weight.device
        settings, self.per_epoch = task.settings, task.batches.per_epoch
        self.optimizer = _optimizer(model, task)
        self.average = WeightAverage(model, settings.ema) if settings.ema > 0 else None
        self.evaluated_after = evaluation_points(self.per_epoch, int(settings.evaluations_per_epoch))
        self.judge = Judge(settings, settings.patience * len(self.evaluated_after))
        self.at = _Position()
        self._restore()
        self.loss = torch.tensor(self.at.loss, dtype=torch.float64, device=self.device)
        model.dropout = task.dropout

    def train(self) -> None:
        rows = self.task.epochs * self.task.batches.rows_per_epoch
        self.progress.start(self.task.title, rows, done=self.at.rows)
        self.at.peak = self.at.peak or self._peak()
        while self.at.epoch < self.task.epochs and not self.judge.stale:
            self._epoch()
        self.progress.finish()

    def finish(self) -> Outcome:
        self.model.load_state_dict(self.judge.weights)
        self.model.dropout = 0.0
        self.model.drop_distillation_head()
        write_tensors(self.directory / WEIGHTS, {name: self.judge.weights[name] for name in self.model.state_dict()})
        self.judge.write_history(self.directory)
        passed = self.judge.history[-1]["passed"]
        return Outcome(self.at.peak, self.judge.best_epoch, passed, self._speed, self.at.seconds)

    def _epoch(self) -> None:
        """Train to the end of the epoch, from wherever in it we are, or to the end of patience."""
        self.model.train()
        started = saved = time.perf_counter()
        for examples, batch in self.task.batches.made(self.at.epoch, self.at.batch, self._with_batch):
            self.loss += self._step(examples, batch)
            self.at.batch += 1
            self.at.batches += 1
            self.at.rows += len(examples.rows)
            self.progress.advance(len(examples.rows))
            now = time.perf_counter()
            due = self.at.batch in self.evaluated_after
            if not due and now - saved <= CHECKPOINT_SECONDS:
                continue
            self.at.seconds += now - started
            if due:
                self._evaluate()
            self._save()
            if self.judge.stale:
                return
            self.model.train()
            started = saved = time.perf_counter()
        self.at.epoch, self.at.batch = self.at.epoch + 1, 0

    def _with_batch(self, examples: Examples) -> tuple[Examples, Batch]:
        return examples, self.model.layout.batch(examples.rows)

    def _step(self, examples: Examples, batch: Batch) -> Tensor:
        step, steps = self.at.epoch * self.per_epoch + self.at.batch, self.task.epochs * self.per_epoch
        rate = learning_rate(self.task.settings, self.at.peak, step, steps)
        return _stepped(self.model, self.optimizer, self.task, examples, batch, rate, self.average)

    def _peak(self) -> float:
        """The configured learning rate, or the one that a trial on a copy of the model finds."""
        settings, device = self.task.settings, self.device
        if settings.learning_rate != "auto":
            return settings.learning_rate
        trial = copy.deepcopy(self.model)
        optimizer = _optimizer(trial, self.task)
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            rate = probed_rate(
                lambda examples, rate: _stepped(trial, optimizer, self.task, *self._with_batch(examples), rate),
                self.task.batches,
            )
        self.progress.line(f"{self.task.title}: learning rate {rate:g}, a tenth of the one where the loss was least")
        return rate

    def _evaluate(self) -> None:
        """Evaluate the model, or the average of its weights; keep what was evaluated if it is the best so far."""
        mean = float(self.loss) / self.at.batches
        self._refuse_divergence(mean, "loss")
        self.optimizer.settle()
        with self.average.in_place_of_weights() if self.average is not None else nullcontext():
            self.model.fill_untrained(self.task.counts)
            figures = self.task.evaluate(self.model)
            # The last step may be the one that went too far: then the loss was finite and the logits are not.
            self._refuse_divergence(figures["logloss"] or 0.0, "validation logloss")
            record = {"epoch": self.at.epoch, "passed": self._passed, "loss": mean, "rows_per_second": self._speed}
            better = self.judge.judge(self.model, figures, record)
        self.judge.write_history(self.directory)
        self.loss.zero_()
        self.at.batches = 0
        shown = "  ".join(f"{name} {figure:.5f}" for name, figure in figures.items() if figure is not None)
        self.progress.line(
            f"epoch {self._passed:g}/{self.task.epochs}  loss {mean:.5f}  {shown}"
            f"  {self._speed:,.0f} rows/s{'  best' if better else ''}"
        )

    @property
    def _passed(self) -> float:
        """Epochs trained so far, a whole number at the end of each."""
        if self.at.batch == self.per_epoch:
            return self.at.epoch + 1
        return round(self.at.epoch + self.at.batch / self.per_epoch, 4)

    @property
    def _speed(self) -> float:
        return self.at.rows / max(self.at.seconds, 1e-9)

    def _refuse_divergence(self, figure: float, what: str) -> None:
        if not math.isfinite(figure):
            raise DagfmError(
                f"{self.task.title}: the {what} is {figure} in epoch {self.at.epoch + 1}; "
                f"lower its learning_rate (now {self.at.peak:g})"
            )

    def _save(self) -> None:
        self.at.loss = float(self.loss)
        self._refuse_divergence(self.at.loss, "loss")
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.judge.weights.items()}
        tensors |= {f"adam/{name}": value for name, value in self.optimizer.tensors().items()}
        if self.average is not None:
            tensors |= {f"average/{name}": value for name, value in self.average.tensors().items()}
        tensors["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        state = {"position": self.at.__dict__, "judgement": self.judge.state()}
        save_checkpoint(self.directory, tensors, state, f"{self.at.epoch}-{self.at.batch}")

    def _restore(self) -> None:
        checkpoint = load_checkpoint(self.directory)
        if checkpoint is None:
            return
        tensors, state = checkpoint
        self.at = _Position(**state["position"])

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(part("model/"))
        self.judge.restore(state["judgement"], {name: value.to(self.device) for name, value in part("best/").items()})
        self.optimizer.restore(part("adam/"))
        if self.average is not None:
            self.average.restore(part("average/"))
        torch.set_rng_state(tensors["rng/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)


def _optimizer(model: CTRModel, task: Task) -> Optimizer:
    return Optimizer(model, task.settings, task.decay)


def _stepped(
    model: CTRModel,
    optimizer: Optimizer,
    task: Task,
    examples: Examples,
    batch: Batch,
    rate: float,
    average: WeightAverage | None = None,
) -> Tensor:
    """The loss of a batch, a scalar, and a step against its gradient."""
    loss = _loss(model, optimizer.opened(batch.to(model.embedding.weight.device)), task, examples)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step(rate, average)
    return loss.detach()


def _loss(model: CTRModel, batch: Batch, task: Task, examples: Examples) -> Tensor:
    """What a step goes down: of clicks alone, the network's own loss."""
    if model.computes_loss:
        return model.loss(batch, terms_of(examples, task.alpha if task.beta > 0 else 1.0, task.beta))
    given = (examples.labels, examples.teacher, examples.weights, examples.labelled)
    labels, teacher, weights, labelled = (
        None if one is None else torch.from_numpy(one).to(model.embedding.weight.device) for one in given
    )
    assert labels is not None
    if model.has_distillation_head:
        served, distilled = model.two_logits(batch, task.alpha)
        return separate_loss(served, distilled, labels, teacher, task.beta, weights, labelled)
    if task.beta > 0:
        return blended_loss(model(batch), labels, teacher, task.alpha, task.beta, weights, labelled)
    return model.click_loss(batch, labels, weights)
