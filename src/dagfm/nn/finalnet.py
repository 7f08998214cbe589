"""FinalNet, a teacher of factorised interaction layers in one or two blocks (Zhu et al., SIGIR 2023)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.batch_norm import BatchNorm
from dagfm.nn.linear import linear_layers


class FinalNet(nn.Module):
    """Blocks of layers ``x ← dropout(relu(norm([u, u ⊙ v])))`` with ``[u, v] = W x + b``; the logit is their mean.

    A block ends in a linear unit. A layer doubles the order of the interactions. With ``gating`` the first block sees
    ``[E, E ⊙ (G E + g)]``, the fields beside themselves under a gate of all fields, a column at a time; the second
    always sees E. That is FuxiCTR's network with concatenated residuals.

    Parameters:
        gate: weight (F, F) and bias (F,), where ``gating`` is set.
        blocks: of each ``layers`` (weight (width, previous width), bias (width,)), ``norms`` and ``head``.
    """

    extra_columns = 0

    def __init__(
        self, fields: int, size: int, blocks: Sequence[Sequence[int]], gating: bool = True, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.fields, self.size = fields, size
        self.gate = nn.Linear(fields, fields) if gating else None
        inputs = [fields * size * (2 if gating and index == 0 else 1) for index in range(len(blocks))]
        self.blocks = nn.ModuleList(_Block(*pair, dropout) for pair in zip(inputs, blocks, strict=True))
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights as FuxiCTR does: xavier_normal, biases zero; a gate starts as 1 and passes everything."""
        if self.gate is not None:
            nn.init.zeros_(self.gate.weight)
            nn.init.ones_(self.gate.bias)
        for block in self._blocks():
            block.reset_parameters(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        return self._logits(x).mean(1)

    def click_loss(self, draw: Callable[[], Tensor], labels: Tensor, weights: Tensor | None) -> Tensor:
        """The cross-entropy of the logit, and of two blocks that of each against the logit's probability.

        The probability is a label there: no gradient passes it.
        """
        logits = self._logits(draw())
        mean = logits.mean(1)
        loss = F.binary_cross_entropy_with_logits(mean, labels, weights)
        if len(self.blocks) > 1:
            taught = mean.detach().sigmoid()
            for of_block in logits.unbind(1):
                loss = loss + F.binary_cross_entropy_with_logits(of_block, taught, weights)
        return loss

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every block's logit, and so to the mean."""
        for block in self._blocks():
            block.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: products with G and W, without the heads."""
        gate = 0 if self.gate is None else self.fields**2 * self.size
        return gate + sum(layer.weight.numel() for block in self._blocks() for layer in linear_layers(block.layers))

    def _logits(self, x: Tensor) -> Tensor:
        """The blocks' logits (B, blocks)."""
        first = x
        if self.gate is not None:
            gates = self.gate(x.transpose(1, 2)).transpose(1, 2)
            first = torch.cat([x, x * gates], 1)
        seen = (first, x)
        return torch.cat([block(one.flatten(1)) for block, one in zip(self.blocks, seen, strict=False)], 1)

    def _blocks(self) -> list[_Block]:
        return [block for block in self.blocks if isinstance(block, _Block)]


class _Block(nn.Module):
    """Layers of even widths and a linear unit: (B, inputs) to logits (B, 1)."""

    def __init__(self, inputs: int, widths: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in pairwise([inputs, *widths]))
        self.norms = nn.ModuleList(BatchNorm(width) for width in widths)
        self.head = nn.Linear(widths[-1], 1)

    def reset_parameters(self, generator: torch.Generator | None) -> None:
        for layer in (*linear_layers(self.layers), self.head):
            nn.init.xavier_normal_(layer.weight, generator=generator)
            nn.init.zeros_(layer.bias)
        for norm in self.norms:
            assert isinstance(norm, BatchNorm)
            norm.reset_parameters()

    def forward(self, x: Tensor) -> Tensor:
        for layer, norm in zip(self.layers, self.norms, strict=True):
            u, v = layer(x).chunk(2, 1)
            x = F.dropout(F.relu(norm(torch.cat([u, u * v], 1))), self.dropout, self.training)
        logits: Tensor = self.head(x)
        return logits
