"""CrossNet, version 2: the teacher whose every layer raises the order by one (Wang et al., DCN V2, WWW 2021)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from dagfm.kernel.calls import Terms
from dagfm.nn import compiled
from dagfm.nn.linear import LogitUnit

WIDEST = 384
"""Of F·D in the kernel: beyond it the matrices leave the caches, and torch's products are the faster ones."""


class CrossNet(nn.Module):
    """``x ← x0 ⊙ (W x + b) + x`` on the flattened embeddings (equation 1), then a linear unit.

    Parameters:
        weight: W of every layer, (depth, F·D, F·D).
        bias: b of every layer, (depth, F·D).
        head: weight (1, F·D) and bias (1,).
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, depth: int) -> None:
        super().__init__()
        self.fields, self.size, self.depth = fields, size, depth
        width = fields * size
        self.weight = nn.Parameter(torch.empty(depth, width, width))
        self.bias = nn.Parameter(torch.empty(depth, width))
        self.head = LogitUnit(width)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights."""
        reset_cross_layers(self.weight, self.bias, generator, reference)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        if self._in_kernel(x):
            return compiled.logits(x, self._below(), self.head.weight, self.head.bias)
        crossed = cross(x.reshape(len(x), self.fields * self.size), self.weight, self.bias)
        logits: Tensor = self.head(crossed)
        return logits

    def computes_loss(self, table: Tensor) -> bool:
        """Whether ``loss`` is there: in the kernel; see ``KernelLoss``."""
        return self._in_kernel(table)

    def loss(self, x: Tensor, terms: Terms) -> Tensor:
        """Field embeddings (B, F, D) to a loss of their logits, a scalar."""
        return compiled.loss(x, self._below(), self.head.weight, self.head.bias, terms)

    def _in_kernel(self, x: Tensor) -> bool:
        return self.fields * self.size <= WIDEST and compiled.takes("cross", x, self.weight)

    def _below(self) -> compiled.Parameters:
        return "cross", "none", self.weight, self.bias, None

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: depth products with W, without the head."""
        return self.depth * (self.fields * self.size) ** 2


def cross(x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """All cross layers (equation 1): (B, width) to (B, width), by W (depth, width, width) and b (depth, width)."""
    crossed: Tensor = _Cross.apply(x0, weight, bias)  # type: ignore[no-untyped-call]
    return crossed


class _Cross(torch.autograd.Function):
    """The layers' gradients in place, where autograd reads and writes each layer's states six times more."""

    @staticmethod
    def forward(ctx: Any, x0: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        x, states, mixed = x0, [], []
        for matrix, vector in zip(weight.unbind(), bias.unbind(), strict=True):
            states.append(x)
            mixed.append(F.linear(x, matrix, vector))
            x = torch.addcmul(x, x0, mixed[-1])
        ctx.save_for_backward(x0, weight, *states, *mixed)
        return x

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x0, weight, *kept = ctx.saved_tensors
        states, mixed = kept[: len(weight)], kept[len(weight) :]
        grad, of_x0 = grad.clone(), torch.zeros_like(x0)
        of_weight, of_bias = torch.empty_like(weight), weight.new_empty(weight.shape[:2])
        for layer in reversed(range(len(weight))):
            of_x0.addcmul_(grad, mixed[layer])
            of_mixed = grad * x0
            torch.mm(of_mixed.t(), states[layer], out=of_weight[layer])
            torch.sum(of_mixed, 0, out=of_bias[layer])
            grad.addmm_(of_mixed, weight[layer])
        return of_x0.add_(grad), of_weight, of_bias


def reset_cross_layers(
    weight: Tensor, bias: Tensor, generator: torch.Generator | None = None, reference: bool = False
) -> None:
    """Draw new weights; the reference leaves W standard normal, which grows with the width, ours is xavier."""
    for matrix in weight.data:
        if reference:
            nn.init.normal_(matrix, generator=generator)
        else:
            nn.init.xavier_normal_(matrix, generator=generator)
    nn.init.zeros_(bias)
