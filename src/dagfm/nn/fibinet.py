"""FiBiNET, a teacher: weighed fields, multiplied in pairs with a matrix between (Huang et al., RecSys 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.feed_forward import FeedForward
from dagfm.nn.linear import LogitUnit

Bilinear = Literal["all", "each", "interaction"]


class FiBiNET(nn.Module):
    """``Σ_f w_f + b + v · deep([bilinear(E), bilinear'(E')])``, linear where there are no hidden layers (section 3).

    E' are the embeddings reweighed by SENET, ``e'_f = a_f e_f`` with ``a = relu(U relu(S z))`` and z_f the mean of e_f.
    ``bilinear`` has ``(W e_i) ⊙ e_j`` for every pair i < j, in the order of ``torch.triu_indices(F, F, 1)``, where W is
    one matrix (all), one for each i, or one for each pair (interaction). The embedding is one column wider than
    ``size``: its last column holds the first-order weight of the value.

    Parameters:
        squeeze: S, (R, F), R = max(1, F // reduction).
        excite: U, (F, R).
        bilinear: W of E and of E', (2, 1 or F-1 or pairs, D, D); its last axis on e_i.
        deep: the hidden layers, see ``FeedForward``.
        head: weight (1, last width, or F·(F-1)·D) and bias (1,).
    """

    extra_columns = 1
    _left: Tensor
    _right: Tensor

    def __init__(
        self,
        fields: int,
        size: int,
        bilinear: Bilinear,
        reduction: int,
        hidden: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.size, self.kind = fields, size, bilinear
        reduced = max(1, fields // reduction)
        self.pairs = fields * (fields - 1) // 2
        matrices = {"all": 1, "each": fields - 1, "interaction": self.pairs}[bilinear]
        self.squeeze = nn.Parameter(torch.empty(reduced, fields))
        self.excite = nn.Parameter(torch.empty(fields, reduced))
        self.bilinear = nn.Parameter(torch.empty(2, matrices, size, size))
        self.deep = FeedForward(max(1, 2 * self.pairs * size), hidden, dropout, batch_norm)
        self.head = LogitUnit(self.deep.outputs)
        left, right = torch.triu_indices(fields, fields, 1)
        self.register_buffer("_left", left, persistent=False)
        self.register_buffer("_right", right, persistent=False)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: xavier_normal, each matrix by itself, biases zero; the reference has no such network."""
        for matrix in (self.squeeze, self.excite, *self.bilinear.data.flatten(0, 1), self.head.weight):
            nn.init.xavier_normal_(matrix, generator=generator)
        self.deep.reset_parameters(generator)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings with their first-order column (B, F, D + 1) to logits (B,)."""
        vectors, weights = x[..., : self.size], x[..., self.size]
        excited = F.relu(F.relu(vectors.mean(2) @ self.squeeze.t()) @ self.excite.t())
        reweighed = vectors * excited.unsqueeze(2)
        pairs = [self._pairs(*each) for each in zip((vectors, reweighed), self.bilinear.unbind(), strict=True)]
        flat = torch.cat(pairs, 1).flatten(1)
        if self.pairs == 0:
            flat = flat.sum(1, keepdim=True)  # one field has no pair: the hidden layers see a zero
        logits: Tensor = self.head(self.deep(flat))
        return logits + weights.sum(1)

    def _pairs(self, x: Tensor, weight: Tensor) -> Tensor:
        """``(W e_i) ⊙ e_j`` of all pairs, (B, pairs, D)."""
        if self.kind == "interaction":
            left = torch.einsum("bpd,ped->bpe", x.index_select(1, self._left), weight)
        else:
            by_field = torch.einsum("bfd,fed->bfe", x[:, :-1], weight.expand(self.fields - 1, -1, -1))
            left = by_field.index_select(1, self._left)
        return left * x.index_select(1, self._right)

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: SENET, matrices and products of both halves, the hidden layers; not the head."""
        matrices = self.pairs if self.kind == "interaction" else self.fields - 1
        senet = self.squeeze.numel() + self.excite.numel() + self.fields * self.size
        return senet + 2 * (matrices * self.size**2 + self.pairs * self.size) + self.deep.multiply_adds
