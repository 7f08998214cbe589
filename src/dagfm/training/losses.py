"""The losses of all phases: clicks and teacher, blended in one logit or each with a logit of its own."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dagfm.data.batches import Examples
from dagfm.encoding.rows import Float32
from dagfm.kernel.calls import Terms


def terms_of(examples: Examples, alpha: float, beta: float) -> Terms:
    """What ``blended_loss`` sums up, as weights of each row's terms."""
    count, rows = len(examples.labels), len(examples.rows)
    weights = np.ones(count, np.float32) if examples.weights is None else examples.weights
    labels: Float32 | None = None
    of_clicks: Float32 | None = None
    of_distances: Float32 | None = None
    if alpha > 0:
        known = np.ones(count, np.bool_) if examples.labelled is None else examples.labelled
        labels, of_clicks = np.zeros((2, rows), np.float32)
        labels[:count] = examples.labels
        of_clicks[:count] = weights * known * np.float32(alpha / max(int(known.sum()), 1))
    if beta > 0:
        assert examples.teacher is not None, "beta is positive, but there are no teacher logits"
        of_distances = np.full(rows, beta / rows, np.float32)
        of_distances[:count] *= weights
    return Terms(labels, of_clicks, None if of_distances is None else examples.teacher, of_distances)


def blended_loss(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    alpha: float,
    beta: float,
    weights: Tensor | None = None,
    labelled: Tensor | None = None,
) -> Tensor:
    """Return ``alpha * BCE + beta * mean((teacher - logits)^2)``, a scalar (KD-DAGFM).

    ``logits`` (B + R,): of B labelled rows, then R recombined ones; ``labels`` (B,); ``teacher`` (B + R,) logits;
    ``weights`` (B,) what the term of each labelled row is multiplied by, 1 of a recombined one. BCE is the mean over
    the labelled rows, the squared distance the mean over all. The sums are divided by the rows, not by the batch's
    weights: with weights that are 1 on average a row of weight k then moves the model as k rows in other batches do,
    whatever else is in its batch. ``labelled`` (B,) says which of the B rows have a label, where some have none: BCE is
    then of these alone, and 0 where there are none. Raises ValueError when ``beta`` is positive without a teacher.
    """
    count = len(labels)
    loss = logits.new_zeros(())
    if alpha > 0:
        if labelled is None:
            loss = loss + alpha * F.binary_cross_entropy_with_logits(logits[:count], labels, weights)
        else:
            known = torch.where(labelled, labels, 0.0)
            terms = F.binary_cross_entropy_with_logits(logits[:count], known, weights, reduction="none")
            loss = loss + alpha * (terms * labelled).sum() / labelled.sum().clamp(min=1)
    if beta > 0:
        if teacher is None:
            raise ValueError("beta is positive, but there are no teacher logits")
        if weights is None:
            return loss + beta * F.mse_loss(logits, teacher)
        distances = F.mse_loss(logits, teacher, reduction="none")
        loss = loss + beta * torch.cat([distances[:count] * weights, distances[count:]]).mean()
    return loss


def separate_loss(
    served: Tensor,
    distilled: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    beta: float,
    weights: Tensor | None = None,
    labelled: Tensor | None = None,
) -> Tensor:
    """Return ``BCE(served) + beta * mean((teacher - distilled)^2)``, a scalar; all as in ``blended_loss``.

    What the clicks weigh against the teacher is not said here: it is the share of their gradient that reaches what both
    logits stand on.
    """
    clicks = blended_loss(served, labels, None, 1.0, 0.0, weights, labelled)
    return clicks + blended_loss(distilled, labels, teacher, 0.0, beta, weights, labelled)
