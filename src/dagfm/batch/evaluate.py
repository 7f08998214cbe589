"""How good a bundle's scores of labelled files are; of every row its logit, label and weight alone are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dagfm import metrics
from dagfm.batch.labelled import LabelledRows, check_both
from dagfm.batch.rows import Scored
from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.log.opening import Progress as Converting
from dagfm.encoding.rows import Float32
from dagfm.metrics import Float64
from dagfm.progress import Progress
from dagfm.serving.scorer import Scorer

_SOME = 1 << 20


@dataclass(frozen=True)
class _Judged:
    """What the label rule keeps of n rows."""

    read: int
    """n."""
    logits: Float64
    clicks: Float32
    weights: Float32 | None


def evaluate_files(
    scorer: Scorer,
    rows: str,
    options: FileOptions,
    tables: Mapping[str, TableConfig],
    progress: Progress,
    converting: Converting,
) -> dict[str, float]:
    """Rows, click rate, AUC, logloss and calibration by the label rule that the bundle was trained with.

    In 12 bytes of memory a row, 16 with weights, and what AUC needs beside them. Raises InputError for what is wrong
    with the input, for values that are no labels, and where there are not both clicks and others.
    """
    with LabelledRows.open(scorer, rows, options, tables, converting) as labelled:

        def judged(some: Scored) -> _Judged:
            logits, found = some.logits(), labelled.labels(some)
            weights = None if found.weights is None else found.weights[found.kept]
            return _Judged(len(some.table), logits[found.kept], found.clicks[found.kept], weights)

        raw = labelled.raw
        count, logits, clicks = 0, np.empty(len(raw.log)), np.empty(len(raw.log), np.float32)
        weights: Float32 | None = None
        progress.start(f"scoring {rows}", len(raw.log))
        try:
            for some in raw.each(judged):
                part = slice(count, count + len(some.clicks))
                logits[part], clicks[part] = some.logits, some.clicks
                if some.weights is not None:
                    weights = np.empty(len(raw.log), np.float32) if weights is None else weights
                    weights[part] = some.weights
                count = part.stop
                progress.advance(some.read)
        finally:
            progress.finish()
    return _figures(clicks[:count], logits[:count], None if weights is None else weights[:count], rows)


def _figures(clicks: Float32, logits: Float64, weights: Float32 | None, rows: str) -> dict[str, float]:
    """Of what is kept (n); ``logits`` are no logits any more afterwards."""
    check_both(clicks, weights, rows)
    figures = {
        "rows": len(clicks),
        "click_rate": metrics.mean(clicks, weights),
        "auc": metrics.auc(clicks, logits, weights),
        "logloss": metrics.logloss(clicks, logits, weights),
    }
    for start in range(0, len(logits), _SOME):
        logits[start : start + _SOME] = metrics.sigmoid(logits[start : start + _SOME])
    return {**figures, "calibration": metrics.calibration(clicks, logits, weights)}
