"""Which weights of a phase are kept, and when it has gone on for long enough."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from dagfm.config.phases import PhaseConfig
from dagfm.files import write_bytes
from dagfm.nn.model import CTRModel

METRICS = "metrics.jsonl"
"""A line an evaluation."""


def evaluation_points(per_epoch: int, evaluations: int) -> tuple[int, ...]:
    """After which of an epoch's batches the model is evaluated, counted from 1; the last one always is among them."""
    return tuple(sorted({-(-per_epoch * part // evaluations) for part in range(1, evaluations + 1)}))


@dataclass
class Judge:
    """The best weights so far, by one validation figure, and what every evaluation has said."""

    settings: PhaseConfig
    patience: int
    """In evaluations."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    """Of the best evaluation."""
    best: float | None = None
    since_best: int = 0
    """Evaluations after it."""
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def stale(self) -> bool:
        """Whether patience is at its end."""
        return self.since_best >= self.patience

    @property
    def best_epoch(self) -> float:
        """Epochs that had passed when the best weights were found."""
        passed: float = [line["passed"] for line in self.history if line["best"]][-1]
        return passed

    def judge(self, model: CTRModel, figures: dict[str, float | None], record: dict[str, Any]) -> bool:
        """Write the line ``record`` with an evaluation's ``figures``; keep the weights if it is the best so far."""
        value = figures[self.settings.monitor]
        assert value is not None, "the configuration refuses a monitor that cannot be had"
        more_is_better = self.settings.monitor == "auc"
        better = self.best is None or (value > self.best if more_is_better else value < self.best)
        self.since_best += 1
        if better:
            self.best, self.since_best = value, 0
            self.weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
        self.history.append({**record, "valid": figures, "best": better})
        return better

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it beside the weights."""
        return {"best": self.best, "since_best": self.since_best, "history": self.history}

    def restore(self, state: dict[str, Any], weights: dict[str, Tensor]) -> None:
        """Put back what ``state`` gave."""
        self.best, self.since_best, self.history = state["best"], state["since_best"], state["history"]
        self.weights = weights

    def write_history(self, directory: Path) -> None:
        """Leave the line of every evaluation in ``METRICS``."""
        text = "".join(json.dumps(record) + "\n" for record in self.history)
        write_bytes(directory / METRICS, text.encode())
