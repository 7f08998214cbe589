"""Factorization machine of order two, a baseline (Rendle, ICDM 2010)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FM(nn.Module):
    """``b + Σ_f w_f + Σ_{i<j} <e_i, e_j>`` (equation 1), the last sum in linear time (lemma 3.1).

    The embedding is one column wider than ``size``: its last column holds the first-order weight of the value.

    Parameters:
        bias: (1,).
    """

    extra_columns = 1

    def __init__(self, fields: int, size: int) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.bias = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Set the bias to zero: nothing is drawn, all other weights are the embedding's."""
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, D + 1) to logits (B,)."""
        total = x.sum(1)
        vectors = x[..., : self.size]
        pairs = (total[:, : self.size].square().sum(1) - vectors.square().sum((1, 2))) / 2
        return self.bias + total[:, self.size] + pairs

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: the squares of every vector and of their sum."""
        return (self.fields + 1) * self.size
