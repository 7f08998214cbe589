"""QNN-alpha, a teacher of one quadratic layer that two passes under dropout teach (Li et al., KDD 2025)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.batch_norm import BatchNorm
from dagfm.nn.heads import head_by_head
from dagfm.nn.linear import LogitUnit, linear_layers


class QNN(nn.Module):
    """``x ← heads(x) ⊙ Σ_t dropout(relu(norm(W_t x))) + x`` on the flattened embeddings, then a linear unit.

    ``heads(x)`` lists the numbers of x head by head, x itself field by field, as in the authors' code. So a gate, which
    is never negative, stands beside another number than the one it is added to: with one head the sign of what a number
    adds to the logit would be the same in all rows.

    Parameters:
        layers: W of every layer, a linear unit without bias, weight (T·F·D, F·D), t leading.
        norms: a ``BatchNorm`` each, over T·F·D columns.
        head: weight (1, F·D) and bias (1,).
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, depth: int, heads: int, maps: int, dropout: float) -> None:
        super().__init__()
        self.fields, self.size, self.depth, self.heads, self.maps = fields, size, depth, heads, maps
        self.dropout = dropout
        width = fields * size
        self.layers = nn.ModuleList(nn.Linear(width, maps * width, bias=False) for _ in range(depth))
        self.norms = nn.ModuleList(BatchNorm(maps * width) for _ in range(depth))
        self.head = LogitUnit(width)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights: xavier_normal, as the authors' code does."""
        for layer, norm in zip(linear_layers(self.layers), self.norms, strict=True):
            assert isinstance(norm, BatchNorm)
            nn.init.xavier_normal_(layer.weight, generator=generator)
            norm.reset_parameters()
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        x = x.flatten(1)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            gates = F.dropout(F.relu(norm(layer(x))), self.dropout, self.training)
            gate = gates.view(-1, self.maps, x.shape[1]).sum(1)
            x = torch.addcmul(x, head_by_head(x.view(-1, self.fields, self.size), self.heads), gate)
            x = F.dropout(x, self.dropout, self.training)
        logits: Tensor = self.head(x)
        return logits

    def click_loss(self, draw: Callable[[], Tensor], labels: Tensor, weights: Tensor | None) -> Tensor:
        """The cross-entropy of the mean probability of two passes, and that of each pass against this mean.

        The mean is a label there: no gradient passes it.
        """
        passes = [self(draw()), self(draw())]
        log_click = torch.logaddexp(*(F.logsigmoid(logits) for logits in passes)) - math.log(2)
        log_none = torch.logaddexp(*(F.logsigmoid(-logits) for logits in passes)) - math.log(2)
        of_rows = -(labels * log_click + (1 - labels) * log_none)
        mean = log_click.detach().exp()
        for logits in passes:
            of_rows = of_rows + F.binary_cross_entropy_with_logits(logits, mean, reduction="none")
        return of_rows.mean() if weights is None else (of_rows * weights).mean()

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: T products with W a layer, without the head."""
        return self.depth * self.maps * (self.fields * self.size) ** 2
