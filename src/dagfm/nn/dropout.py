"""Dropout on the embedding's output, in the compiled kernel where it was built: torch's took a sixth of a step."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dagfm.kernel.dropout import drop
from dagfm.kernel.library import chosen_version


def dropout(x: Tensor, share: float) -> Tensor:
    """A share of the numbers of ``x`` set to zero, drawn from torch's generator, the others divided by 1 - share."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or chosen_version() is None:
        return F.dropout(x, share)
    dropped: Tensor = _Dropout.apply(x, share)  # type: ignore[no-untyped-call]
    return dropped


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, share: float) -> Tensor:
        ctx.seed, ctx.share = int(torch.randint(2**62, ())), share
        return torch.from_numpy(drop(x.detach().contiguous().numpy(), ctx.seed, share))

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return torch.from_numpy(drop(gradients[0].contiguous().numpy(), ctx.seed, ctx.share)), None
