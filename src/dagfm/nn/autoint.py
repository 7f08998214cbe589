"""AutoInt+, a teacher: fields attend to each other, beside hidden layers (Song et al., CIKM 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.feed_forward import FeedForward
from dagfm.nn.linear import LogitUnit, linear_layers


class AutoInt(nn.Module):
    """Layers of self-attention over the fields (equations 5 to 8), linear in the last one's numbers.

    A layer takes field m from e_m to ``relu(concat_h Σ_k α_{m,k} V e_k + R e_m)``, where in each head
    ``α_m = softmax_k(<Q e_m, K e_k> / √d)``, d numbers a head. The authors' code has the root, their equation has not.
    AutoInt+ adds ``v · deep(x)``, x the flattened embeddings; without hidden layers it is the plain AutoInt.

    Parameters:
        layers: Q, K, V and R of each, one below the other, weight (4 · attention_size, previous size), no bias.
        deep: the hidden layers, see ``FeedForward``; absent where there are none.
        deep_head: weight v (1, last width); absent where there are no hidden layers.
        head: weight (1, F · attention_size) and bias (1,).
    """

    extra_columns = 0

    def __init__(
        self,
        fields: int,
        size: int,
        depth: int,
        heads: int,
        attention_size: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.size, self.heads, self.attention_size = fields, size, heads, attention_size
        self.dropout = dropout
        sizes = [size] + [attention_size] * (depth - 1)
        self.layers = nn.ModuleList(nn.Linear(previous, 4 * attention_size, bias=False) for previous in sizes)
        self.deep = FeedForward(fields * size, hidden, dropout, batch_norm) if hidden else None
        self.deep_head = nn.Linear(hidden[-1], 1, bias=False) if hidden else None
        self.head = LogitUnit(fields * attention_size)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: xavier_normal, each of Q, K, V and R by itself; the reference has no such network."""
        for layer in linear_layers(self.layers):
            for matrix in layer.weight.data.chunk(4):
                nn.init.xavier_normal_(matrix, generator=generator)
        if self.deep is not None and self.deep_head is not None:
            self.deep.reset_parameters(generator)
            nn.init.xavier_normal_(self.deep_head.weight, generator=generator)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        states = x
        for layer in linear_layers(self.layers):
            states = self._attend(layer(states))
        logits: Tensor = self.head(states.reshape(len(x), self.fields * self.attention_size))
        if self.deep is not None and self.deep_head is not None:
            logits = logits + self.deep_head(self.deep(x.reshape(len(x), self.fields * self.size))).squeeze(1)
        return logits

    def _attend(self, projected: Tensor) -> Tensor:
        """Q, K, V and R of all fields (B, F, 4 · attention_size) to their next states (B, F, attention_size)."""
        rows, each = len(projected), self.attention_size // self.heads
        *parts, residual = projected.chunk(4, -1)
        # Heads before fields: (B, heads, F, d).
        queries, keys, values = (part.view(rows, self.fields, self.heads, each).transpose(1, 2) for part in parts)
        scores = queries @ keys.transpose(2, 3) * each**-0.5
        attention = F.dropout(scores.softmax(-1), self.dropout, self.training)
        mixed = (attention @ values).transpose(1, 2).reshape(rows, self.fields, self.attention_size)
        return F.relu(mixed + residual)

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: projections, attention and the hidden layers, without the heads of the logit."""
        projections = sum(layer.weight.numel() for layer in linear_layers(self.layers)) * self.fields
        attention = 2 * len(self.layers) * self.fields**2 * self.attention_size
        return projections + attention + (0 if self.deep is None else self.deep.multiply_adds)
