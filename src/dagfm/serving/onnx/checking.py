"""Whether an ONNX file scores as its bundle does, on drawn rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.metrics import sigmoid
from dagfm.serving.drawn import drawn
from dagfm.serving.onnx.feeds import SCORE, feed
from dagfm.serving.scorer import Scorer

_ROWS = 500

Run = Callable[[Mapping[str, NDArray[Any]]], NDArray[np.float32]]


def runner(file: Path) -> Run:
    """Runs an ONNX file: in ONNX Runtime where it is installed, else in onnx' own reference."""
    try:
        import onnxruntime  # noqa: PLC0415
    except ImportError:
        from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

        session = ReferenceEvaluator(str(file))
    else:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = session.run([SCORE], dict(inputs))[0]
        return scores

    return run


def difference(scorer: Scorer, run: Run) -> float:
    """The largest difference of probabilities on drawn rows, together and one of them alone."""
    rows = drawn(scorer.bundle, _ROWS)
    worst = 0.0
    for some in (rows, rows.take(np.array([1]))):
        expected = sigmoid(scorer.served_encoded(some))
        worst = max(worst, float(np.abs(run(feed(scorer.schema, some)) - expected).max()))
    return worst
