"""Linear units: the one that ends a network, and the lists of them that networks have."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LogitUnit(nn.Linear):
    """The linear unit that ends a network: (B, inputs) to logits (B,).

    Parameters:
        weight: (1, inputs).
        bias: (1,).
    """

    def __init__(self, inputs: int) -> None:
        super().__init__(inputs, 1)

    def draw(self, generator: torch.Generator | None) -> None:
        """Draw a new weight, xavier_normal; the bias becomes zero."""
        nn.init.xavier_normal_(self.weight, generator=generator)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        return super().forward(x).squeeze(1)


def linear_layers(layers: nn.ModuleList) -> list[nn.Linear]:
    """The members of a list of linear units, as what they are."""
    return [layer for layer in layers if isinstance(layer, nn.Linear)]
