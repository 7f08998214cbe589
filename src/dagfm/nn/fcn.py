"""Fusing Cross Network, a teacher of two cross networks without a deep part (Li et al., DCNv3, arXiv 2407.13349)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dagfm.nn.ecn import ECN


class FCN(nn.Module):
    """The mean logit of an exponential and a linear cross network over the same embeddings.

    Parameters:
        exponential, linear: an ``ECN`` each.
    """

    extra_columns = 0

    def __init__(self, fields: int, size: int, exponential_depth: int, linear_depth: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.exponential = ECN(fields, size, exponential_depth, dropout)
        self.linear = ECN(fields, size, linear_depth, dropout, linear=True)

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights of both."""
        self.exponential.reset_parameters(generator, reference)
        self.linear.reset_parameters(generator, reference)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D) to logits (B,)."""
        logits: Tensor = (self.exponential(x) + self.linear(x)) / 2
        return logits

    def click_loss(self, draw: Callable[[], Tensor], labels: Tensor, weights: Tensor | None) -> Tensor:
        """The cross-entropy of the logit, and of both branches, each times what it exceeds the first by, 0 at least.

        As in the authors' code the factors have gradients, too: that of a branch counts by about its cross-entropy,
        where the excess alone, some hundredths, would hardly teach it.
        """
        x = draw()
        branches = self.exponential(x), self.linear(x)
        joint = F.binary_cross_entropy_with_logits(sum(branches) / 2, labels, weights)
        loss = joint
        for logits in branches:
            of_branch = F.binary_cross_entropy_with_logits(logits, labels, weights)
            loss = loss + of_branch * F.relu(of_branch - joint)
        return loss

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to both branches' logits, and so to the mean."""
        self.exponential.raise_logits(by)
        self.linear.raise_logits(by)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row of both, without the heads."""
        return self.exponential.multiply_adds + self.linear.multiply_adds
