"""The embedding table where a step touches only the rows that its batch looks up: in the compiled kernel, or in torch.

Every rule moves the whole table, as it would if each row were moved at each step, but a row's idle steps, whose only
gradient is its decay, wait until it is looked up again and are then made up for at once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dagfm.kernel.table import LookUp
from dagfm.nn.batch import Batch
from dagfm.nn.looked_up import LookedUp, look_up
from dagfm.training import row_rules
from dagfm.training.allocator import zeros
from dagfm.training.averaging import WeightAverage
from dagfm.training.history import EPSILON, History


class TableRows(ABC):
    """Adam (Kingma and Ba, ICLR 2015), row-wise Adagrad or SGD, with decay, over the rows of one table.

    Adagrad has one square a row, the sum of the means of its gradients' squares, as fbgemm has it; decay is no part of
    that, and a row that has none stands still. What Adam's idle steps do is found to within a few per cent, see
    ``row_rules``: on a log of sparse ids the same AUC as Adam over the whole table.
    """

    def __init__(self, weight: nn.Parameter, rule: str, decay: float) -> None:
        self.weight, self.rule, self.decay = weight, rule, decay
        self.history = History()
        rows = len(weight)
        shapes = {"adam": (weight.shape, weight.shape), "adagrad": ((rows, 0), (rows,)), "sgd": ((rows, 0), (rows, 0))}
        self.mean, self.square = (zeros(shape, weight.device) for shape in shapes[rule])
        self.last = zeros((rows,), weight.device, np.int32)
        """(rows,): the step up to which each row and its moments reach."""

    @abstractmethod
    def opened(self, batch: Batch) -> Batch:
        """The batch as the model is to have it: its rows caught up with the steps so far."""

    @abstractmethod
    def step(self, rate: float, average: WeightAverage | None) -> Tensor:
        """Move the rows of the batch in hand, which has its gradient, and their average; returns which (U,) rows."""

    @abstractmethod
    def settle(self) -> None:
        """Catch all rows of the table up, so that it is what it stands for."""

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, beside the weights."""
        rates = torch.from_numpy(self.history.rates[1 : self.history.steps + 1].copy())
        return {"rates": rates, "mean": self.mean, "square": self.square, "last": self.last}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        self.history = History(tensors["rates"].cpu().numpy())
        device = self.weight.device
        self.mean, self.square, self.last = (tensors[name].to(device) for name in ("mean", "square", "last"))


class CompiledRows(TableRows):
    """In the kernel: a float32 table on a CPU, fields that are no maxima."""

    def opened(self, batch: Batch) -> Batch:
        self._batch = LookUp(self._table, batch.bags, threads=torch.get_num_threads())
        self._batch.catch_up(self.rule, self.history.steps, self.decay, EPSILON, **self._state)
        self._pooled = torch.from_numpy(self._batch.pooled()).requires_grad_()
        return replace(batch, pooled=self._pooled)

    def step(self, rate: float, average: WeightAverage | None) -> Tensor:
        assert self._pooled.grad is not None, "a step follows a backward pass"
        self.history.append(rate)
        averages = {} if average is None else average.arrays_of_table
        grad = self._pooled.grad.numpy()
        self._batch.step(self.rule, grad, self.history.steps, self.decay, EPSILON, **self._state, **averages)
        return torch.from_numpy(self._batch.rows)

    def settle(self) -> None:
        every = LookUp.of_all(self._table, torch.get_num_threads())
        every.catch_up(self.rule, self.history.steps, self.decay, EPSILON, **self._state)

    @property
    def _table(self) -> NDArray[np.float32]:
        table: NDArray[np.float32] = self.weight.detach().numpy()
        return table

    @property
    def _state(self) -> dict[str, NDArray[np.generic]]:
        history = self.history
        state = {name: getattr(self, name).numpy() for name in ("mean", "square", "last")}
        names = ("rates", "path", "mean_fix", "square_fix", "mean_left", "square_left", "mean_run")
        return state | {name: getattr(history, name) for name in names}


class TorchRows(TableRows):
    """In torch, to the same numbers up to rounding."""

    def opened(self, batch: Batch) -> Batch:
        batch, self._batch = look_up(self.weight, batch, self._catch_up)
        return batch

    @torch.no_grad()
    def step(self, rate: float, average: WeightAverage | None) -> Tensor:
        looked_up: LookedUp = self._batch
        rows, before, gradient = looked_up.rows, looked_up.values.detach(), looked_up.values.grad
        assert gradient is not None, "a step follows a backward pass"
        self.history.append(rate)
        moved, mean, square = row_rules.stepped(
            self.rule, self.history, self.decay, before, gradient, self.mean[rows], self.square[rows]
        )
        self._put(rows, moved, mean, square)
        if average is not None:
            average.update_rows(rows, before, moved)
        return rows

    def settle(self) -> None:
        self._catch_up(torch.arange(len(self.weight), device=self.weight.device))

    @torch.no_grad()
    def _catch_up(self, rows: Tensor) -> None:
        now = row_rules.caught_up(
            self.rule, self.history, self.decay, self.last[rows].long(), self.weight[rows], self.mean[rows],
            self.square[rows],
        )  # fmt: skip
        self._put(rows, *now)

    def _put(self, rows: Tensor, weight: Tensor, mean: Tensor, square: Tensor) -> None:
        self.weight.index_copy_(0, rows, weight)
        self.mean.index_copy_(0, rows, mean)
        self.square.index_copy_(0, rows, square)
        self.last[rows] = self.history.steps
