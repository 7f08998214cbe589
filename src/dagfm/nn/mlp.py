"""A plain feed-forward network on the embeddings: what the deep part of the others can do alone."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from dagfm.nn.feed_forward import FeedForward
from dagfm.nn.linear import LogitUnit


class MLP(nn.Module):
    """Hidden layers on the flattened embeddings, then a linear unit (Covington et al., RecSys 2016).

    Parameters:
        deep: the hidden layers, see ``FeedForward``.
        head: weight (1, last width) and bias (1,).
    """

    extra_columns = 0

    def __init__(
        self, fields: int, size: int, hidden: Sequence[int], dropout: float = 0.0, batch_norm: bool = False
    ) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.deep = FeedForward(fields * size, hidden, dropout, batch_norm)
        self.head = LogitUnit(self.deep.outputs)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: xavier_normal, biases zero; the reference has no such network."""
        self.deep.reset_parameters(generator)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        logits: Tensor = self.head(self.deep(x.reshape(len(x), self.fields * self.size)))
        return logits

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: the hidden layers, without the head."""
        return self.deep.multiply_adds
