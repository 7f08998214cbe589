"""The one loss of all phases: clicks and teacher, blended."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def blended_loss(logits: Tensor, labels: Tensor, teacher: Tensor | None, alpha: float, beta: float) -> Tensor:
    """Return ``alpha * BCE + beta * mean((teacher - logits)^2)``, a scalar (KD-DAGFM).

    ``logits`` (B + R,): of B labelled rows, then R recombined ones; ``labels`` (B,); ``teacher`` (B + R,) logits.
    BCE is the mean over the labelled rows, the squared distance the mean over all. Raises ValueError when ``beta`` is
    positive and there is no teacher.
    """
    loss = logits.new_zeros(())
    if alpha > 0:
        loss = loss + alpha * F.binary_cross_entropy_with_logits(logits[: len(labels)], labels)
    if beta > 0:
        if teacher is None:
            raise ValueError("beta is positive, but there are no teacher logits")
        loss = loss + beta * F.mse_loss(logits, teacher)
    return loss
