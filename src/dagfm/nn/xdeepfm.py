"""xDeepFM, a teacher: first-order weights, a CIN and hidden layers side by side (Lian et al., KDD 2018)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dagfm.nn.cin import CIN
from dagfm.nn.feed_forward import FeedForward


class XDeepFM(nn.Module):
    """``b + Σ_f w_f + cin(E) + v · deep(x)``, x the flattened embeddings (section 3.2).

    The CIN has no activations, which the paper found best (section 4.4). The embedding is one column wider than
    ``size``: its last column holds the first-order weight of the value.

    Parameters:
        cin: see ``CIN``.
        deep: the hidden layers, see ``FeedForward``; absent where there are none.
        head: weight v (1, last width); absent where there are no hidden layers.
        bias: b, (1,).
    """

    extra_columns = 1

    def __init__(
        self,
        fields: int,
        size: int,
        cin: tuple[int, ...],
        hidden: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.cin = CIN(fields, size, cin)
        self.deep = FeedForward(fields * size, hidden, dropout, batch_norm) if hidden else None
        self.head = nn.Linear(hidden[-1], 1, bias=False) if hidden else None
        self.bias = nn.Parameter(torch.empty(1))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: the CIN's as the reference does, all others xavier_normal, biases zero."""
        self.cin.reset_parameters(generator, reference)
        if self.deep is not None and self.head is not None:
            self.deep.reset_parameters(generator)
            nn.init.xavier_normal_(self.head.weight, generator=generator)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, D + 1) to logits (B,)."""
        vectors, weights = x[..., : self.size], x[..., self.size]
        logits: Tensor = self.bias + weights.sum(1) + self.cin(vectors)
        if self.deep is not None and self.head is not None:
            flat = vectors.reshape(len(x), self.fields * self.size)
            logits = logits + self.head(self.deep(flat)).squeeze(1)
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: the CIN's layers as defined and the hidden ones, without the heads."""
        return self.cin.multiply_adds + (0 if self.deep is None else self.deep.multiply_adds)
