"""DAGFM and CrossNet through the compiled kernel, as functions that autograd knows: float32 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from numpy import float32
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from dagfm.kernel.calls import Descent, Gradients, Terms, Weights, available, backward, descend, forward

Parameters = tuple[str, str, Tensor, Tensor | None, Tensor | None]
"""What lies below a head: type, connect, p, q and the connect layer, as ``nn.DAGFM`` has them; of ``nn.CrossNet``
"cross", "none", its weight and bias, and None."""


def takes(message: str, x: Tensor, weight: Tensor) -> bool:
    """Whether the kernel computes these messages, or "cross", for embeddings like ``x``."""
    plain = x.dtype == weight.dtype == torch.float32 and x.device.type == weight.device.type == "cpu"
    return plain and not torch.compiler.is_compiling() and available(message)


def logits(x: Tensor, below: Parameters, weight: Tensor, bias: Tensor) -> Tensor:
    """Field embeddings (B, F, D) to the logits (B,) of a linear head: weight (1, F·(depth+1)), bias (1,)."""
    result: Tensor = _Kernel.apply(x, *below, weight, bias)  # type: ignore[no-untyped-call]
    return result


def summed_states(x: Tensor, below: Parameters) -> Tensor:
    """Field embeddings (B, F, D) to the sums of all states over D, (B, F·(depth+1)), layer by layer."""
    result: Tensor = _Kernel.apply(x, *below, None, None)  # type: ignore[no-untyped-call]
    return result


def loss(x: Tensor, below: Parameters, weight: Tensor, bias: Tensor, terms: Terms) -> Tensor:
    """Field embeddings (B, F, D) to a loss of their logits, a scalar; ``weight`` and ``bias`` as in ``logits``.

    The gradients are found on the way, which computes each layer once instead of twice.
    """
    result: Tensor = _Loss.apply(x, *below, weight, bias, terms)  # type: ignore[no-untyped-call]
    return result


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        message: str,
        connect: str,
        p: Tensor,
        q: Tensor | None,
        c: Tensor | None,
        weight: Tensor,
        bias: Tensor,
        terms: Terms,
    ) -> Tensor:
        x = x if x.stride(-1) == 1 else x.contiguous()
        weights = _weights(message, connect, x.shape[1], p, q, c, weight, bias)
        wants_x = ctx.needs_input_grad[0]
        found: Descent = descend(weights, x.numpy(), terms, torch.get_num_threads(), wants_x=wants_x)
        ctx.gradients = found.gradients
        return torch.tensor(found.loss)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gradients = _tensors(ctx.gradients)
        ctx.gradients = None
        if float(grad) != 1:
            gradients = tuple(None if one is None else one * grad for one in gradients)
        return *gradients, None


class _Kernel(torch.autograd.Function):
    """The way back computes all layers again: that costs less than to write and read them where rows are many."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        message: str,
        connect: str,
        p: Tensor,
        q: Tensor | None,
        c: Tensor | None,
        weight: Tensor | None,
        bias: Tensor | None,
    ) -> Tensor:
        x = x if x.stride(-1) == 1 else x.contiguous()
        ctx.message, ctx.connect = message, connect
        ctx.save_for_backward(x, p, q, c, weight, bias)
        weights = _weights(message, connect, x.shape[1], p, q, c, weight, bias)
        return torch.from_numpy(forward(weights, x.numpy(), torch.get_num_threads()))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, p, q, c, weight, bias = ctx.saved_tensors
        weights = _weights(ctx.message, ctx.connect, x.shape[1], p, q, c, weight, bias)
        wants_x = ctx.needs_input_grad[0]
        given = grad.contiguous().numpy()
        return _tensors(backward(weights, x.numpy(), given, torch.get_num_threads(), wants_x=wants_x))


def _weights(
    message: str, connect: str, fields: int, p: Tensor, q: Tensor | None, c: Tensor | None, *head: Tensor | None
) -> Weights:
    return Weights(message, connect, p.detach().contiguous().numpy(), fields, *map(_array, (q, c, *head)))


def _array(tensor: Tensor | None) -> NDArray[float32] | None:
    return None if tensor is None else tensor.detach().contiguous().numpy()


def _tensors(found: Gradients) -> tuple[Tensor | None, ...]:
    """The gradients in the order of the inputs, of which type and connect have none."""
    parts = (found.p, found.q, found.c, found.head, found.bias)
    return _tensor(found.x), None, None, *map(_tensor, parts)


def _tensor(array: NDArray[float32] | None) -> Tensor | None:
    return None if array is None else torch.from_numpy(array)
