"""What DAGFM's nodes send along the edges: ``A_s = Σ_{f≤s} M_{f,s}(H_f)`` for all nodes s at once.

The three are those of KD-DAGFM (Tian et al., WSDM 2023): kernel is the general one, outer its rank one, inner its
diagonal.

States and results are (F, D, B): the batch last, so that products run over long contiguous rows (2-3 times faster on a
CPU than the same sums over (B, F, D)). Weights are square, (F, F, ...) indexed [source, target], zero where the source
comes after the target. The sum over sources ≤ s then is a sum over all sources; where skipping the zeros pays (outer,
kernel), targets are taken a block at a time, each from the sources up to its end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_BLOCK = 13
"""Targets a block: 39 fields (Criteo) make three; smaller blocks skip more zeros and lose more to small products."""


def inner(h: Tensor, p: Tensor) -> Tensor:
    """``p ⊙ h``: for each of the D columns, an F × F matrix times the states.

    Takes p (F, F, D). The product runs with D leading, so the result's memory order is (D, F, B).
    """
    return torch.bmm(p.permute(2, 1, 0).contiguous(), h.transpose(0, 1)).transpose(0, 1)


def kernel(h: Tensor, w: Tensor) -> Tensor:
    """``W h``: a (D, D) matrix an edge; takes w (F, F, D, D), its last axis on the source."""
    fields, size, rows = h.shape
    matrix = w.permute(1, 2, 0, 3).reshape(fields * size, fields * size)
    flat = h.reshape(fields * size, rows)
    blocks = [matrix[size * start : size * end, : size * end] @ flat[: size * end] for start, end in _blocks(fields)]
    return torch.cat(blocks).view(fields, size, rows)


def outer(h: Tensor, p: Tensor, q: Tensor) -> Tensor:
    """``<p, h> q``: a number an edge, then a vector; takes p and q (F, F, D)."""
    result: Tensor = _Outer.apply(h, p, q)  # type: ignore[no-untyped-call]
    return result


class _Outer(torch.autograd.Function):
    """Two batched products a block; by hand, because autograd pads every slice's gradient to full size."""

    @staticmethod
    def forward(ctx: Any, h: Tensor, p: Tensor, q: Tensor) -> Tensor:
        aggregate = torch.empty_like(h)
        numbers = []
        for start, end in _blocks(len(h)):
            number = torch.bmm(p[:end, start:end], h[:end])  # (sources, targets, B)
            q_to = q[:end, start:end].permute(1, 2, 0)  # (targets, D, sources)
            torch.bmm(q_to, number.transpose(0, 1), out=aggregate[start:end])
            numbers.append(number)
        ctx.save_for_backward(h, p, q, *numbers)
        return aggregate

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, Tensor]:
        h, p, q, *numbers = ctx.saved_tensors
        grad_p, grad_q = torch.zeros_like(p), torch.zeros_like(q)
        grad_h = None
        # Last block first: it reaches all sources, so its product fills grad_h and the others add to it.
        for (start, end), number in reversed(list(zip(_blocks(len(h)), numbers, strict=True))):
            grad_to = grad[start:end]
            grad_number = torch.bmm(q[:end, start:end].transpose(0, 1), grad_to).transpose(0, 1)
            grad_q[:end, start:end] = torch.bmm(number.transpose(0, 1), grad_to.transpose(1, 2)).transpose(0, 1)
            grad_p[:end, start:end] = torch.bmm(grad_number, h[:end].transpose(1, 2))
            if not ctx.needs_input_grad[0]:
                continue
            p_from = p[:end, start:end].transpose(1, 2)  # (sources, D, targets)
            if grad_h is None:
                grad_h = torch.bmm(p_from, grad_number)
            else:
                grad_h[:end].baddbmm_(p_from, grad_number)
        return grad_h, grad_p, grad_q


def _blocks(fields: int) -> Iterator[tuple[int, int]]:
    """Start and end of consecutive blocks of targets that cover all the fields."""
    for start in range(0, fields, _BLOCK):
        yield start, min(start + _BLOCK, fields)


MESSAGES: dict[str, Callable[..., Tensor]] = {"inner": inner, "outer": outer, "kernel": kernel}
