"""Whether an ONNX file scores as its bundle does, on drawn rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Ragged, Rows
from dagfm.metrics import sigmoid
from dagfm.schema import MISSING
from dagfm.serving.bundle import Bundle
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
    calibration, schema = scorer.bundle.calibration, scorer.schema
    rows = drawn(scorer.bundle)
    worst = 0.0
    for some in (rows, rows.take(np.array([1]))):
        expected = sigmoid(calibration["scale"] * scorer.score_encoded(some).astype(np.float64) + calibration["shift"])
        worst = max(worst, float(np.abs(run(feed(schema, some)) - expected).max()))
    return worst


def drawn(bundle: Bundle, seed: int = 0) -> Rows:
    """Encoded rows that meet every kind of value: *unknown*, *missing*, all ids alike, sequences of each length."""
    draw, schema, spans = np.random.default_rng(seed), bundle.encoder.schema, bundle.encoder.spans

    def ids(node: int, count: int) -> NDArray[np.int32]:
        found = draw.integers(0, spans.sizes[node], count).astype(np.int32)
        found[draw.random(count) < 0.1] = MISSING
        return found

    nodes = {form: [node for node, one in enumerate(schema) if one.form == form] for form in ("ids", "items")}
    tokens = [ids(node, _ROWS) for node in nodes["ids"]]
    width = sum(one.width for one in schema.of_form("numbers"))
    floats = draw.normal(size=(_ROWS, width)).astype(np.float32)
    floats[draw.random(floats.shape) < 0.2] = np.nan
    floats[:20] = np.nan
    sequences = []
    for node in nodes["items"]:
        offsets = np.concatenate([[0], np.cumsum(draw.integers(1, 6, _ROWS))])
        sequences.append(Ragged(offsets, ids(node, int(offsets[-1]))))
    return Rows(np.stack(tokens, axis=1) if tokens else np.zeros((_ROWS, 0), np.int32), floats, tuple(sequences))
