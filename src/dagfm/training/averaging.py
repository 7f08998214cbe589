"""The exponential moving average of the weights, shown in their place when a model is judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.allocator import zeros


class WeightAverage:
    """``sum_i (1 - decay) decay^(t-i) w_i / (1 - decay^t)`` over the weights after each of t steps.

    The sums start at zero, as Adam's moments do, so that the first weights, which are random, have no say beyond their
    turn. Running figures of batch normalisation are averaged like the weights they belong to; parameters that do not
    train are left out. Where a step moves the table's looked-up rows alone, the sum of another row waits until its next
    turn and is then caught up at once, exactly: its weight stood still meanwhile.
    """

    def __init__(self, model: CTRModel, decay: float) -> None:
        self.model, self.decay = model, decay
        self.steps = 0
        self.sums = {name: zeros(value.shape, value.device) for name, value in self._moving()}
        self.last = zeros((len(model.embedding.weight),), model.embedding.weight.device, np.int32)
        """(rows,): the step up to which the sum of each row of the table reaches."""
        self._left = (decay ** np.arange(1024.0)).astype(np.float32)

    @torch.no_grad()
    def update(self, lazily: bool = False) -> None:
        """Take in the weights after a step; ``lazily``: those of the table's rows that it moved have been already."""
        self.steps += 1
        for name, value in self._moving():
            if name == TABLE and lazily:
                continue
            self.sums[name].lerp_(value, 1 - self.decay)
            if name == TABLE:
                self.last.fill_(self.steps)

    @torch.no_grad()
    def update_rows(self, rows: Tensor, before: Tensor, now: Tensor) -> None:
        """Take in ``rows`` (U,) of the table, moved from ``before`` (U, D) to ``now`` by a step not yet counted."""
        sums = self._caught_up(rows, before, self.steps).lerp_(now, 1 - self.decay)
        self.sums[TABLE].index_copy_(0, rows, sums)
        self.last[rows] = self.steps + 1

    @property
    def arrays_of_table(self) -> dict[str, NDArray[np.generic]]:
        """What ``update_rows`` works on, for the kernel to do it."""
        if self.steps + 1 >= len(self._left):
            self._left = (self.decay ** np.arange(2.0 * len(self._left))).astype(np.float32)
        sums, last = self.sums[TABLE].numpy(), self.last.numpy()
        return {"average": sums, "averaged": last, "average_left": self._left}

    @contextmanager
    def in_place_of_weights(self) -> Iterator[None]:
        """Put the average into the model for the length of a ``with``."""
        moving = dict(self._moving())
        with torch.no_grad():
            if TABLE in moving:
                every = torch.arange(len(self.last), device=self.last.device)
                self.sums[TABLE] = self._caught_up(every, moving[TABLE], self.steps)
                self.last.fill_(self.steps)
            raw = {name: value.clone() for name, value in moving.items()}
            for name, value in moving.items():
                value.copy_(self.sums[name] / (1 - self.decay**self.steps))
            self.model.embedding.restore_held()
        try:
            yield
        finally:
            with torch.no_grad():
                for name, value in moving.items():
                    value.copy_(raw[name])

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next average depends on."""
        return {"steps": torch.tensor(self.steps), "last": self.last} | {
            f"sum/{name}": value for name, value in self.sums.items()
        }

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        self.steps = int(tensors["steps"])
        self.last = tensors["last"].to(self.last.device)
        self.sums = {name: tensors[f"sum/{name}"].to(value.device) for name, value in self.sums.items()}

    def _caught_up(self, rows: Tensor, stood_at: Tensor, step: int) -> Tensor:
        """The sums of ``rows`` (m,) as of ``step``, their weights having stood at ``stood_at`` (m, D)."""
        kept = torch.pow(self.decay, (step - self.last[rows]).to(stood_at.dtype)).unsqueeze(1)
        return self.sums[TABLE][rows] * kept + stood_at * (1 - kept)

    def _moving(self) -> list[tuple[str, Tensor]]:
        frozen = {name for name, value in self.model.named_parameters() if not value.requires_grad}
        held = self.model.state_dict()
        return [(name, value) for name, value in held.items() if name not in frozen and value.is_floating_point()]
