"""The best reachable figures: what the true probabilities score on the clicks that were drawn from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.config.data import SplitConfig
from dagfm.data.simulate.columns import LABEL
from dagfm.data.simulate.shards import BEST, NOW, truth_path
from dagfm.data.split import TEST, random_parts
from dagfm.metrics import Float64, auc

Float32 = NDArray[np.float32]


def best_reachable(directory: Path, shards: Sequence[str], rows: int) -> dict[str, Any]:
    """Figures on the test rows of the default split, and the click rate of all rows.

    ``auc`` and ``logloss`` are of the drawn clicks, ``expected_auc`` and ``expected_logloss`` of all clicks that could
    have been drawn. ``knowing_time`` is there with drift: what a model would reach that is told the time as well.
    """
    split = SplitConfig()
    parts_of = np.empty(rows, np.uint8)
    random_parts(parts_of, np.empty(rows, np.int32), split.ratios, split.seed)
    test = parts_of == TEST
    parts, clicks = [], 0
    for frame, mask in _with(test, directory, shards):
        clicks += int(frame[LABEL].cast(pl.Int64).sum())
        parts.append(frame.filter(pl.Series(mask)))
    frame = pl.concat(parts)
    label = frame[LABEL].to_numpy()
    found = {
        "rows": rows,
        "click_rate": clicks / rows,
        "test": {"rows": len(label), "click_rate": float(label.mean()), **_figures(label, frame[BEST].to_numpy())},
    }
    if NOW in frame.columns:
        found["knowing_time"] = _figures(label, frame[NOW].to_numpy())
    return found


def expected_auc(probability: Float32) -> float:
    """The AUC of ``probability`` (n,) over all clicks that could be drawn from it, up to a part of the order 1/n."""
    ordered = np.sort(probability).astype(np.float64)
    # A pair of rows counts by the chance that one is a click and the other is none; a row with itself is half a tie.
    below = np.cumsum(1.0 - ordered) - 0.5 * (1.0 - ordered)
    return float(ordered @ below / (ordered.sum() * (1.0 - ordered).sum()))


def _figures(label: NDArray[np.uint8], probability: Float32) -> dict[str, float | None]:
    clicked, p = label.astype(np.float64), np.clip(probability.astype(np.float64), 1e-12, 1.0 - 1e-12)
    both = 0 < clicked.sum() < len(clicked)
    return {
        "auc": auc(label, probability) if both else None,
        "logloss": _entropy(clicked, p),
        "expected_auc": expected_auc(probability),
        "expected_logloss": _entropy(p, p),
    }


def _entropy(label: Float64, p: Float64) -> float:
    return float(-np.mean(label * np.log(p) + (1.0 - label) * np.log1p(-p)))


def _with(test: NDArray[np.bool_], directory: Path, shards: Sequence[str]) -> Iterator[tuple[pl.DataFrame, Any]]:
    start = 0
    for shard in shards:
        frame = pl.read_parquet(truth_path(directory, shard))
        yield frame, test[start : start + len(frame)]
        start += len(frame)
