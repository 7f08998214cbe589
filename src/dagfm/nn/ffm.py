"""Field-aware factorization machine: a vector of its own for every other field (Juan et al., RecSys 2016)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class FFM(nn.Module):
    """``b + Σ_f w_f + Σ_{i<j} <e_i,j, e_j,i>``, where e_i,j is what field i shows to field j.

    The embedding holds these vectors of the other fields one after the other, in node order, and the first-order weight
    of the value as its last column. The values of one field do not meet each other: they are pooled.

    Parameters:
        bias: (1,).
    """

    def __init__(self, fields: int, size: int) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.bias = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    @property
    def extra_columns(self) -> int:
        """Columns beside the first vector: those of the other vectors, and the first-order weight."""
        return max(self.fields - 2, 0) * self.size + 1

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Set the bias to zero: nothing is drawn, all other weights are the embedding's."""
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, (F - 1) D + 1) to logits (B,)."""
        others = max(self.fields - 1, 1)
        i, j = torch.triu_indices(self.fields, self.fields, 1, device=x.device)
        vectors = x[..., :-1].reshape(len(x), self.fields * others, self.size)
        left = vectors.index_select(1, i * others + j - 1)
        right = vectors.index_select(1, j * others + i)
        return self.bias + x[..., -1].sum(1) + (left * right).sum((1, 2))

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: a product of vectors a pair."""
        return self.fields * (self.fields - 1) // 2 * self.size
