"""A matrix times all the products of two sets of rows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def products(weight: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """``weight @ (y ⊗ x)`` per column, (H, N).

    Takes x (M, N), y (F, N) and weight (H, F·M), y's row leading. The products are formed again for the gradient: kept,
    they would be most of what a training step remembers.
    """
    result: Tensor = _Products.apply(weight, x, y, False)  # type: ignore[no-untyped-call]
    return result


def symmetric_products(weight: Tensor, x: Tensor) -> Tensor:
    """The same with each product of two rows of x (F, N) taken once, weight (H, F(F+1)/2) in triu_indices' order."""
    result: Tensor = _Products.apply(weight, x, x, True)  # type: ignore[no-untyped-call]
    return result


class _Products(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, y: Tensor, symmetric: bool) -> Tensor:
        ctx.save_for_backward(weight, x, y)
        ctx.symmetric = symmetric
        return weight @ _form(x, y, symmetric)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None, None]:
        weight, x, y = ctx.saved_tensors
        grad_weight = grad @ _form(x, y, ctx.symmetric).t()
        if not any(ctx.needs_input_grad[1:3]):
            return grad_weight, None, None, None
        grad_products = weight.t() @ grad
        grad_x, grad_y = torch.zeros_like(x), torch.empty_like(y)
        end = 0
        for f, row in enumerate(y):
            first = f if ctx.symmetric else 0
            start, end = end, end + len(x) - first
            block = grad_products[start:end]
            grad_x[first:].addcmul_(block, row)
            torch.sum(block.mul_(x[first:]), 0, out=grad_y[f])
        return grad_weight, grad_x, grad_y, None


def _form(x: Tensor, y: Tensor, symmetric: bool) -> Tensor:
    """Row f of y times every row of x (from row f on where symmetric), f leading."""
    return torch.cat([x[f if symmetric else 0 :] * row for f, row in enumerate(y)])
