"""Adam for an embedding table of which a step touches only the rows that its batch has looked up."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from dagfm.encoding.rows import Int64
from dagfm.nn.looked_up import LookedUp

BETAS, EPSILON = (0.9, 0.999), 1e-8
"""As Kingma and Ba have them, and torch's Adam."""


class LookedUpAdam:
    """Adam (Kingma and Ba, ICLR 2015) over the rows of one table, with decay that is compensated for their frequency.

    A row without gradient costs nothing: neither it nor its moments are read or written. Its moments wait until it is
    looked up again; the correction of their zero start counts the steps of the whole table.

    **Decay.** L2 in the gradient of the whole table adds ``decay * w`` to every row at each of the T steps of an epoch.
    Here a row gets ``decay * w * c * T / n``, where the labelled rows of the batch hold it c times and the training
    rows n times. Over an epoch its c add up to n, exactly, so its decay adds up to that of the whole table: the same
    prior, in lumps. Recombined rows are not counted, on neither side: a cross of both sides meets other values there
    than in the training rows, and the sum would no longer hold. A row that the training rows do not hold (n = 0) is
    not decayed; it is filled with its field's mean before anything is scored.
    """

    def __init__(self, weight: nn.Parameter, decay: float, occurrences: Int64, steps_per_epoch: int) -> None:
        """``occurrences`` (rows,): n of every row; ``steps_per_epoch``: T."""
        self.weight = weight
        n = torch.from_numpy(np.asarray(occurrences, np.float32)).to(weight.device)
        self._pull = None if decay == 0 else torch.where(n > 0, decay * steps_per_epoch / n, 0.0)
        """(rows,): the decay of each row an occurrence."""
        self.steps = 0
        self.mean = torch.zeros_like(weight, requires_grad=False)
        """(rows, D): the first moment of each number's gradient; ``square`` is the second."""
        self.square = torch.zeros_like(weight, requires_grad=False)

    @torch.no_grad()
    def step(self, looked_up: LookedUp, rate: float) -> None:
        """One step of the rows of a batch, of which ``looked_up.values`` has the gradient."""
        rows, values, gradient = looked_up.rows, looked_up.values.detach(), looked_up.values.grad
        assert gradient is not None, "a step follows a backward pass"
        self.steps += 1
        if self._pull is not None:
            gradient = torch.addcmul(gradient, values, (self._pull[rows] * looked_up.counts).unsqueeze(1))
        mean = self.mean.index_select(0, rows).lerp_(gradient, 1 - BETAS[0])
        square = self.square.index_select(0, rows).mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
        self.mean.index_copy_(0, rows, mean)
        self.square.index_copy_(0, rows, square)
        corrected = square.div_(1 - BETAS[1] ** self.steps).sqrt_().add_(EPSILON)
        moved = torch.addcdiv(values, mean, corrected, value=-rate / (1 - BETAS[0] ** self.steps))
        self.weight.index_copy_(0, rows, moved)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that the next step depends on, beside the weights."""
        return {"step": torch.tensor(self.steps), "exp_avg": self.mean, "exp_avg_sq": self.square}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        self.steps = int(tensors["step"])
        self.mean, self.square = (tensors[name].to(self.weight.device) for name in ("exp_avg", "exp_avg_sq"))
