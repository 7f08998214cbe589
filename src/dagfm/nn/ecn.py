"""Exponential and linear cross network with a self-mask, the parts of FCN (Li et al., DCNv3, arXiv 2407.13349)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.heads import head_by_head
from dagfm.nn.linear import LogitUnit


class ECN(nn.Module):
    """``x ← x ⊙ ([c, c ⊙ relu(LN(c))] + b) + x`` with ``c = W x``, half as tall as x, then a linear unit.

    A layer doubles the order of the interactions. With ``linear`` it is the LCN, whose layers multiply by the first x
    instead and raise the order by one. The mask ``relu(LN(c))`` silences about half of the second half. x is flattened
    so that a half holds half of every field's columns; where F·D is odd, c has a number more than its masked copy.

    Parameters:
        weight: W of every layer, (depth, ⌈F·D/2⌉, F·D).
        bias: b of every layer, (depth, F·D).
        norm_weight, norm_bias: of every layer's normalisation, (depth, ⌈F·D/2⌉).
        head: weight (1, F·D) and bias (1,).
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, depth: int, dropout: float = 0.0, *, linear: bool = False) -> None:
        super().__init__()
        self.fields, self.size, self.depth, self.dropout, self.linear = fields, size, depth, dropout, linear
        width = fields * size
        half = (width + 1) // 2
        self.weight = nn.Parameter(torch.empty(depth, half, width))
        self.bias = nn.Parameter(torch.empty(depth, width))
        self.norm_weight = nn.Parameter(torch.empty(depth, half))
        self.norm_bias = nn.Parameter(torch.empty(depth, half))
        self.head = LogitUnit(width)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights as the authors' code does: xavier_normal, b uniform in [0, 1)."""
        for matrix in self.weight.data:
            nn.init.xavier_normal_(matrix, generator=generator)
        nn.init.uniform_(self.bias, generator=generator)
        nn.init.ones_(self.norm_weight)
        nn.init.zeros_(self.norm_bias)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        x = x0 = head_by_head(x, 2)
        parameters = (self.weight, self.bias, self.norm_weight, self.norm_bias)
        for weight, bias, scale, shift in zip(*(one.unbind() for one in parameters), strict=True):
            c = F.linear(x, weight)
            mask = F.relu(F.layer_norm(c, scale.shape, scale, shift))
            crossed = torch.cat([c, (c * mask)[:, : x.shape[1] - c.shape[1]]], 1) + bias
            x = torch.addcmul(x, x0 if self.linear else x, crossed)
            x = F.dropout(x, self.dropout, self.training)
        logits: Tensor = self.head(x)
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: depth products with W, without the head."""
        return self.weight.numel()
