"""Batch normalisation (Ioffe and Szegedy, ICML 2015) that takes a batch of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_MOMENTUM, _EPSILON = 0.1, 1e-5
"""torch's own."""


class BatchNorm(nn.Module):
    """``weight ⊙ (x - mean) / √(variance + ε) + bias``, a column at a time (B, width).

    Mean and variance are the batch's in training, where the running ones follow them, and the running ones in
    evaluation. A single row has no variance: it is normalised by the running ones in training, too.

    Parameters:
        weight, bias: (width,).
        mean, variance: (width,), buffers.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))
        self.register_buffer("mean", torch.empty(width))
        self.register_buffer("variance", torch.empty(width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as the identity; nothing is drawn."""
        nn.init.ones_(self.weight)
        nn.init.zeros_(self.bias)
        self.mean.zero_()
        self.variance.fill_(1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, width)."""
        of_batch = self.training and len(x) > 1
        return F.batch_norm(x, self.mean, self.variance, self.weight, self.bias, of_batch, _MOMENTUM, _EPSILON)
