"""Logits over a data set: one streaming pass in eval mode, without a graph."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch

from dagfm import metrics
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32, Rows
from dagfm.nn.model import CTRModel
from dagfm.training.sampling import Sampling

CHUNK = 8192
"""Rows scored at a time: large enough for full speed, small enough to stay in cache."""
WHOLE = Sampling()
"""Nothing is sampled."""

TIMED_CHUNKS, TIMED_PASSES = 2, 5


def scored(models: Sequence[CTRModel], chunks: Iterable[Rows]) -> Iterator[Float32]:
    """The mean logits that models on one device give to encoded rows arriving in chunks, chunk by chunk."""
    device = models[0].embedding.weight.device
    for model in models:
        model.eval()
    for rows in chunks:
        with torch.inference_mode():
            batch = models[0].layout.batch(rows).to(device)
            mean = sum(model(batch) for model in models) / len(models)
            logits: Float32 = mean.cpu().numpy()
        yield logits


def score_chunks(models: Sequence[CTRModel], chunks: Iterable[Rows], count: int) -> Float32:
    """The same as one array (count,), 4 bytes a row."""
    logits = np.empty(count, np.float32)
    done = 0
    for part in scored(models, chunks):
        logits[done : done + len(part)] = part
        done += len(part)
    return logits


def chunks_of(rows: Rows) -> Iterator[Rows]:
    """Encoded rows in their order, ``CHUNK`` at a time."""
    for start in range(0, len(rows), CHUNK):
        yield rows.take(np.arange(start, min(start + CHUNK, len(rows))))


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
    """Return the ``figures`` of a model on a data set."""
    logits = score_chunks([model], chunks_of(dataset.rows), len(dataset))
    return figures(dataset, logits, teacher, sampling)


def scoring_speed(model: CTRModel, dataset: Dataset) -> float:
    """Rows/s of scoring a few chunks, look-up included: the fastest of several passes, which a busy machine disturbs
    least."""
    rows = dataset.rows.take(np.arange(min(len(dataset), TIMED_CHUNKS * CHUNK)))
    seconds = []
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        score_chunks([model], chunks_of(rows), len(rows))
        seconds.append(time.perf_counter() - started)
    return len(rows) / min(seconds)
