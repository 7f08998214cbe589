"""Field-matrixed factorization machine: a matrix for every pair of fields (Sun et al., FM², WWW 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class FmFM(nn.Module):
    """``b + Σ_f w_f + Σ_{i<j} <W_ij e_i, e_j>``.

    As an FM's, the embedding's last column holds the first-order weight of the value.

    Parameters:
        weight: W, (F (F - 1) / 2, D, D), in the order of ``numpy.triu_indices(F, 1)``.
        bias: (1,).
    """

    extra_columns = 1

    def __init__(self, fields: int, size: int) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.weight = nn.Parameter(torch.empty(fields * (fields - 1) // 2, size, size))
        self.bias = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Start as an FM, every W the identity: nothing is drawn."""
        with torch.no_grad():
            self.weight.copy_(torch.eye(self.size).expand_as(self.weight))
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, D + 1) to logits (B,)."""
        vectors = x[..., : self.size]
        logits = self.bias + x[..., self.size].sum(1)
        # The matrices from a field to all later ones, as one product; from the last there are none.
        for i, matrices in enumerate(torch.split(self.weight, list(range(self.fields - 1, -1, -1)))):
            images = F.linear(vectors[:, i], matrices.flatten(0, 1))
            logits = logits + (images * vectors[:, i + 1 :].flatten(1)).sum(1)
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: a product with W and one of vectors a pair."""
        return self.weight.numel() + len(self.weight) * self.size
