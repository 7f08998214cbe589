"""Field-weighted factorization machine: a strength for every pair of fields (Pan et al., WWW 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FwFM(nn.Module):
    """``b + Σ_f w_f + Σ_{i<j} r_ij <e_i, e_j>``.

    As an FM's, the embedding's last column holds the first-order weight of the value.

    Parameters:
        weight: r, (F (F - 1) / 2,), in the order of ``numpy.triu_indices(F, 1)``.
        bias: (1,).
    """

    extra_columns = 1

    def __init__(self, fields: int, size: int) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.weight = nn.Parameter(torch.empty(fields * (fields - 1) // 2))
        self.bias = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Start as an FM: nothing is drawn."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, D + 1) to logits (B,)."""
        vectors = x[..., : self.size].transpose(1, 2)
        strengths = self.weight.new_zeros(self.fields, self.fields)
        i, j = torch.triu_indices(self.fields, self.fields, 1, device=x.device)
        strengths = strengths.index_put((i, j), self.weight)
        pairs = (F.linear(vectors, strengths) * vectors).sum((1, 2))
        return self.bias + x[..., self.size].sum(1) + pairs

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: a product of vectors and its strength a pair."""
        return self.weight.numel() * (self.size + 1)
