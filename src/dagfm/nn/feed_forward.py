"""Hidden layers: the deep part that networks share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.batch_norm import BatchNorm
from dagfm.nn.linear import linear_layers


class FeedForward(nn.Module):
    """``h ← dropout(relu(norm(W h + b)))``, a hidden layer after the other; without any, the input itself.

    Parameters:
        layers: a linear unit each, weight (width, previous width), bias (width,).
        norms: a ``BatchNorm`` each, where ``batch_norm`` is set.
    """

    def __init__(self, inputs: int, hidden: Sequence[int], dropout: float = 0.0, batch_norm: bool = False) -> None:
        super().__init__()
        widths = [inputs, *hidden]
        self.outputs = widths[-1]
        self.dropout = dropout
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.norms = nn.ModuleList(BatchNorm(width) for width in hidden) if batch_norm else None
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights: xavier_normal, biases zero."""
        for layer in linear_layers(self.layers):
            nn.init.xavier_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        for norm in self.norms or ():
            assert isinstance(norm, BatchNorm)
            norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) to (B, outputs)."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            if self.norms is not None:
                x = self.norms[index](x)
            x = F.dropout(F.relu(x), self.dropout, self.training)
        return x

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row of the linear units."""
        return sum(layer.weight.numel() for layer in linear_layers(self.layers))
