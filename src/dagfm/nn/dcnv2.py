"""DCN V2, a teacher: CrossNet's layers and hidden layers, one after or beside the other (Wang et al., WWW 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dagfm.nn.crossnet import cross, reset_cross_layers
from dagfm.nn.feed_forward import FeedForward
from dagfm.nn.linear import LogitUnit

Structure = Literal["parallel", "stacked"]


class DCNv2(nn.Module):
    """The logit is linear in ``[cross(x), deep(x)]`` (parallel) or in ``deep(cross(x))`` (stacked), section 3.4.

    x are the flattened embeddings; ``cross`` is equation 1 as in ``CrossNet``. Without hidden layers both are a
    CrossNet.

    Parameters:
        weight: W of every cross layer, (depth, F·D, F·D).
        bias: b of every cross layer, (depth, F·D).
        deep: the hidden layers, see ``FeedForward``.
        head: weight, parallel (1, F·D + last width), stacked (1, last width), and bias (1,).
    """

    extra_columns = 0

    def __init__(
        self,
        fields: int,
        size: int,
        depth: int,
        structure: Structure,
        hidden: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.size, self.depth = fields, size, depth
        width = fields * size
        self.weight = nn.Parameter(torch.empty(depth, width, width))
        self.bias = nn.Parameter(torch.empty(depth, width))
        self.deep = FeedForward(width, hidden, dropout, batch_norm)
        self.parallel = structure == "parallel" and len(hidden) > 0
        self.head = LogitUnit(self.deep.outputs + width * self.parallel)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: xavier_normal, biases zero; with ``reference`` the cross layers as its CrossNet has."""
        reset_cross_layers(self.weight, self.bias, generator, reference)
        self.deep.reset_parameters(generator)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        x = x.reshape(len(x), self.fields * self.size)
        crossed = cross(x, self.weight, self.bias)
        last = torch.cat([crossed, self.deep(x)], 1) if self.parallel else self.deep(crossed)
        logits: Tensor = self.head(last)
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: depth products with W and the hidden layers, without the head."""
        return self.weight.numel() + self.deep.multiply_adds
