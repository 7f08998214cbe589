"""CrossNet, version 2: the teacher whose every layer raises the order by one (Wang et al., DCN V2, WWW 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.linear import LogitUnit


class CrossNet(nn.Module):
    """``x ← x0 ⊙ (W x + b) + x`` on the flattened embeddings (equation 1), then a linear unit.

    Parameters:
        weight: W of every layer, (depth, F·D, F·D).
        bias: b of every layer, (depth, F·D).
        head: weight (1, F·D) and bias (1,).
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, depth: int) -> None:
        super().__init__()
        self.fields, self.size, self.depth = fields, size, depth
        width = fields * size
        self.weight = nn.Parameter(torch.empty(depth, width, width))
        self.bias = nn.Parameter(torch.empty(depth, width))
        self.head = LogitUnit(width)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights."""
        reset_cross_layers(self.weight, self.bias, generator, reference)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        crossed = cross(x.reshape(len(x), self.fields * self.size), self.weight, self.bias)
        logits: Tensor = self.head(crossed)
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: depth products with W, without the head."""
        return self.depth * (self.fields * self.size) ** 2


def cross(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """All cross layers (equation 1): (B, width) to (B, width), by W (depth, width, width) and b (depth, width)."""
    x = x0
    for matrix, vector in zip(weight.unbind(), bias.unbind(), strict=True):
        x = torch.addcmul(x, x0, F.linear(x, matrix, vector))
    return x


def reset_cross_layers(
    weight: Tensor, bias: Tensor, generator: torch.Generator | None = None, reference: bool = False
) -> None:
    """Draw new weights; the reference leaves W standard normal, which grows with the width, ours is xavier."""
    for matrix in weight.data:
        if reference:
            nn.init.normal_(matrix, generator=generator)
        else:
            nn.init.xavier_normal_(matrix, generator=generator)
    nn.init.zeros_(bias)
