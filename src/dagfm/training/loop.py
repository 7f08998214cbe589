"""The training loop of every phase: shuffled batches, one loss, early stopping, checkpoints that resume exactly."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dagfm.config.phases import PhaseConfig
from dagfm.data.batches import Batches, Examples
from dagfm.encoding.rows import Int64
from dagfm.errors import DagfmError
from dagfm.files import write_bytes
from dagfm.nn.model import CTRModel
from dagfm.progress import Progress
from dagfm.training.checkpoint import load_checkpoint, save_checkpoint, write_tensors
from dagfm.training.losses import blended_loss
from dagfm.training.optimizers import learning_rate, make_optimizer, optimizer_tensors, restore_optimizer

WEIGHTS, METRICS = "weights.safetensors", "metrics.jsonl"
"""What a finished phase leaves."""

CHECKPOINT_SECONDS = 60.0
"""Within an epoch a checkpoint is written this often; at the end of an epoch always."""

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
    """Weight of the clicks."""
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
    """Sum over the batches of this epoch so far."""
    best: float | None = None
    best_epoch: int = -1
    rows: int = 0
    seconds: float = 0.0
    """Rows trained on and the time that took, evaluation not counted."""
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """What a finished phase has to say."""

    best_epoch: int
    epochs: int
    rows_per_second: float
    seconds: float


def train(model: CTRModel, task: Task, directory: Path, progress: Progress) -> Outcome:
    """Train ``model`` in place and leave the weights of its best epoch in it and in ``WEIGHTS``.

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
        self.optimizer = make_optimizer(model, task.settings, task.decay)
        self.best: dict[str, Tensor] = {}
        self.at = _Position()
        self._restore()
        model.dropout = task.dropout

    def train(self) -> None:
        per_epoch = self.task.batches.rows_per_epoch
        self.progress.start(self.task.title, self.task.epochs * per_epoch, done=self.at.rows)
        while self.at.epoch < self.task.epochs and not self._stale():
            self._epoch()
            self._judge()
            self.at.epoch, self.at.batch, self.at.loss = self.at.epoch + 1, 0, 0.0
            self._save()
        self.progress.finish()

    def finish(self) -> Outcome:
        self.model.load_state_dict(self.best)
        self.model.dropout = 0.0
        write_tensors(self.directory / WEIGHTS, self.best)
        self._write_history()
        speed = self.at.rows / max(self.at.seconds, 1e-9)
        return Outcome(self.at.best_epoch, len(self.at.history), speed, self.at.seconds)

    def _epoch(self) -> None:
        """Train to the end of the epoch, from wherever in it we are."""
        self.model.train()
        per_epoch = self.task.batches.per_epoch
        loss = torch.tensor(self.at.loss, dtype=torch.float64, device=self.device)
        started = saved = time.perf_counter()
        for examples in self.task.batches.epoch(self.at.epoch, self.at.batch):
            step = self.at.epoch * per_epoch + self.at.batch
            rate = learning_rate(self.task.settings, step, self.task.epochs * per_epoch)
            loss += self._step(examples, rate)
            self.at.batch += 1
            self.at.rows += len(examples.rows)
            self.progress.advance(len(examples.rows))
            now = time.perf_counter()
            if now - saved > CHECKPOINT_SECONDS:
                self.at.seconds += now - started
                self.at.loss = float(loss)
                self._refuse_divergence(self.at.loss, "loss")
                self._save()
                started = saved = time.perf_counter()
        self.at.seconds += time.perf_counter() - started
        self.at.loss = float(loss)

    def _step(self, examples: Examples, rate: float) -> Tensor:
        batch = self.model.layout.batch(examples.rows).to(self.device)
        labels = torch.from_numpy(examples.labels).to(self.device)
        teacher = None if examples.teacher is None else torch.from_numpy(examples.teacher).to(self.device)
        weights = None if examples.weights is None else torch.from_numpy(examples.weights).to(self.device)
        labelled = None if examples.labelled is None else torch.from_numpy(examples.labelled).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        if self.task.beta > 0:
            loss = blended_loss(self.model(batch), labels, teacher, self.task.alpha, self.task.beta, weights, labelled)
        else:
            loss = self.model.click_loss(batch, labels, weights)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.model.embedding.restore_held()
        return loss.detach()

    def _judge(self) -> None:
        """Evaluate the epoch that just ended, keep its weights if it is the best so far, write its line."""
        mean = self.at.loss / max(self.at.batch, 1)
        self._refuse_divergence(mean, "loss")
        self.model.fill_untrained(self.task.counts)
        figures = self.task.evaluate(self.model)
        # The last step may be the one that went too far: then the loss was finite and the logits are not.
        self._refuse_divergence(figures["logloss"] or 0.0, "validation logloss")
        value = figures[self.task.settings.monitor]
        assert value is not None, "the configuration refuses a monitor that cannot be had"
        better = self.at.best is None or (
            value > self.at.best if self.task.settings.monitor == "auc" else value < self.at.best
        )
        if better:
            self.at.best, self.at.best_epoch = value, self.at.epoch
            self.best = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
        speed = self.at.rows / max(self.at.seconds, 1e-9)
        record = {"epoch": self.at.epoch, "loss": mean, "valid": figures, "best": better, "rows_per_second": speed}
        self.at.history.append(record)
        self._write_history()
        shown = "  ".join(f"{name} {figure:.5f}" for name, figure in figures.items() if figure is not None)
        self.progress.line(
            f"epoch {self.at.epoch + 1}/{self.task.epochs}  loss {mean:.5f}  {shown}"
            f"  {speed:,.0f} rows/s{'  best' if better else ''}"
        )

    def _refuse_divergence(self, figure: float, what: str) -> None:
        if not math.isfinite(figure):
            raise DagfmError(
                f"{self.task.title}: the {what} is {figure} in epoch {self.at.epoch + 1}; "
                f"lower its learning_rate (now {self.task.settings.learning_rate:g})"
            )

    def _stale(self) -> bool:
        return self.at.epoch - 1 - self.at.best_epoch >= self.task.settings.patience

    def _save(self) -> None:
        tensors = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best/{name}": value for name, value in self.best.items()}
        tensors |= {f"adam/{name}": value for name, value in optimizer_tensors(self.model, self.optimizer).items()}
        tensors["rng/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            tensors["rng/cuda"] = torch.cuda.get_rng_state(self.device)
        save_checkpoint(self.directory, tensors, {"position": self.at.__dict__}, f"{self.at.epoch}-{self.at.batch}")

    def _restore(self) -> None:
        checkpoint = load_checkpoint(self.directory)
        if checkpoint is None:
            return
        tensors, state = checkpoint
        self.at = _Position(**state["position"])

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.model.load_state_dict(part("model/"))
        self.best = {name: value.to(self.device) for name, value in part("best/").items()}
        restore_optimizer(self.model, self.optimizer, part("adam/"))
        torch.set_rng_state(tensors["rng/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["rng/cuda"], self.device)

    def _write_history(self) -> None:
        text = "".join(json.dumps(record) + "\n" for record in self.at.history)
        write_bytes(self.directory / METRICS, text.encode())
