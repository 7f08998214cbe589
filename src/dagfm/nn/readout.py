"""How DAGFM's summed states become the logit: in a line, or through hidden layers beside that line (KD-DAGFM+)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dagfm.nn.feed_forward import FeedForward
from dagfm.nn.linear import LogitUnit


class Readout(LogitUnit):
    """``w · s + b`` of the summed states s, whose batch comes last."""

    def forward(self, sums: Tensor) -> Tensor:
        """Summed states (inputs, B), the batch last, to logits (B,)."""
        # The matrix on the right: its gradient then has the batch last, too; torch.mv would give it transposed.
        return (self.weight @ sums).squeeze(0) + self.bias

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row of hidden layers; the last linear unit is not counted."""
        return 0


class DeepReadout(Readout):
    """``w · s + b + v · deep(s)``: KD-DAGFM+ (Tian et al., WSDM 2023) with the linear head beside its hidden layers.

    The line carries what a student without them can say; they learn what is left. v starts at zero, and with it the
    logit as that line.

    Parameters:
        weight, bias: of the line, as of every ``LogitUnit``.
        deep: the hidden layers on s, see ``FeedForward``.
        deep_weight: v, (1, last width).
    """

    def __init__(self, inputs: int, hidden: Sequence[int]) -> None:
        super().__init__(inputs)
        self.deep = FeedForward(inputs, hidden)
        self.deep_weight = nn.Parameter(torch.empty(1, self.deep.outputs))

    def draw(self, generator: torch.Generator | None) -> None:
        """Draw new weights, xavier_normal; biases and v become zero."""
        super().draw(generator)
        self.deep.reset_parameters(generator)
        nn.init.zeros_(self.deep_weight)

    def forward(self, sums: Tensor) -> Tensor:
        """Summed states (inputs, B), the batch last, to logits (B,)."""
        deep: Tensor = self.deep(sums.t())
        return super().forward(sums) + (self.deep_weight @ deep.t()).squeeze(0)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row of the hidden layers."""
        return self.deep.multiply_adds


def readout(inputs: int, hidden: Sequence[int]) -> Readout:
    """The head on so many summed states: with ``hidden`` layers, or without any a line."""
    return DeepReadout(inputs, hidden) if hidden else Readout(inputs)
