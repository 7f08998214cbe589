"""Logits over a data set: one streaming pass in eval mode, without a graph."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from dagfm import metrics
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32, Indices, Rows
from dagfm.nn.batch import Batch
from dagfm.nn.model import CTRModel
from dagfm.training.sampling import Sampling

CHUNK = 8192
"""Rows scored at a time: large enough for full speed, small enough to stay in cache."""
WHOLE = Sampling()
"""Nothing is sampled."""

TIMED_CHUNKS, TIMED_PASSES = 2, 5


Scores = Callable[[Rows], Float32]
"""What gives B encoded rows their logits (B,)."""


def scores_of(model: CTRModel, logits_of: Callable[[Batch], Tensor] | None = None) -> Scores:
    """A network in eval mode; ``logits_of`` (the model itself where it is None) says what of it is asked."""
    device = model.embedding.weight.device
    model.eval()
    asked = logits_of or model

    def scores(rows: Rows) -> Float32:
        with torch.inference_mode():
            logits: Float32 = asked(model.layout.batch(rows).to(device)).cpu().numpy()
        return logits

    return scores


def mean_of(members: Sequence[Scores]) -> Scores:
    """The mean logits of several."""

    def scores(rows: Rows) -> Float32:
        total = members[0](rows)
        for member in members[1:]:
            total = total + member(rows)
        return total / np.float32(len(members))

    return scores


def weighted_mean_of(members: Sequence[Scores], weights: Sequence[float]) -> Scores:
    """The logits of several by their ``weights``, which sum to 1; who counts nothing is not asked."""
    asked = [(member, np.float32(weight)) for member, weight in zip(members, weights, strict=True) if weight]

    def scores(rows: Rows) -> Float32:
        total = np.zeros(len(rows), np.float32)
        for member, weight in asked:
            total += member(rows) * weight
        return total

    return scores


def score_chunks(scores: Scores, chunks: Iterable[Rows], count: int) -> Float32:
    """The logits (count,) of encoded rows arriving in chunks, 4 bytes a row."""
    logits = np.empty(count, np.float32)
    done = 0
    for part in map(scores, chunks):
        logits[done : done + len(part)] = part
        done += len(part)
    return logits


def chunks_of(rows: Rows, chosen: Indices | None = None) -> Iterator[Rows]:
    """Encoded rows in their order, or the ``chosen`` ones in theirs, ``CHUNK`` at a time."""
    count = len(rows) if chosen is None else len(chosen)
    for start in range(0, count, CHUNK):
        end = min(start + CHUNK, count)
        yield rows.take(np.arange(start, end) if chosen is None else chosen[start:end])


def figures(
    dataset: Dataset, logits: Float32, teacher: Float32 | None, sampling: Sampling = WHOLE
) -> dict[str, float | None]:
    """AUC, logloss and distance to the teacher's logits (None without a teacher); NaN where a logit is not finite.

    Weighted where the rows have weights. ``logits`` and ``teacher`` (n,) are of models that saw ``sampling``; the
    figures are of the corrected logits.
    """
    if not np.isfinite(logits).all():
        return {"auc": math.nan, "logloss": math.nan, "logit_mse": math.nan}
    labels, weights = sampling.judged(dataset)
    corrected = logits + np.float32(sampling.shift) if sampling.shift else logits
    return {
        "auc": metrics.auc(labels, logits, weights),
        "logloss": metrics.logloss(labels, corrected, weights),
        "logit_mse": None if teacher is None else metrics.logit_mse(teacher, logits, weights),
    }


def evaluate(
    model: CTRModel, dataset: Dataset, teacher: Float32 | None, sampling: Sampling = WHOLE
) -> dict[str, float | None]:
    """Return the ``figures`` of a model on a data set; of a distillation head, where there is one, the distance."""
    logits = score_chunks(scores_of(model), chunks_of(dataset.rows), len(dataset))
    found = figures(dataset, logits, teacher, sampling)
    if model.has_distillation_head:
        scores = scores_of(model, lambda batch: model.two_logits(batch, 0.0)[1])
        distilled = score_chunks(scores, chunks_of(dataset.rows), len(dataset))
        found["logit_mse"] = figures(dataset, distilled, teacher, sampling)["logit_mse"]
    return found


def scoring_speed(scores: Scores, dataset: Dataset) -> float:
    """Rows/s of scoring a few chunks, look-up included: the fastest of several passes, which a busy machine disturbs
    least."""
    rows = dataset.rows.take(np.arange(min(len(dataset), TIMED_CHUNKS * CHUNK)))
    seconds = []
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        score_chunks(scores, chunks_of(rows), len(rows))
        seconds.append(time.perf_counter() - started)
    return len(rows) / min(seconds)
