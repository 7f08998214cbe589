"""From a trained student to what a bundle holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from safetensors.numpy import load

import dagfm
from dagfm.config import Config
from dagfm.data.dataset import Dataset, Prepared
from dagfm.metrics import sigmoid
from dagfm.nn.dagfm import resolve_connect
from dagfm.run.held_back import evenly
from dagfm.serving.bundle import Bundle
from dagfm.serving.golden import with_golden
from dagfm.serving.reference import reference_of
from dagfm.serving.scorer import Scorer
from dagfm.training.sampling import Sampling
from dagfm.training.view import View
from dagfm.training.workshop import Trained

_ROWS = 1 << 18
"""Of rows a share is known to a part in a thousand; so many are looked at, evenly spaced."""


def bundle_of(config: Config, view: View, student: Trained) -> Bundle:
    """Everything needed to score raw rows with a trained student, which sees ``view``, and what is known of it."""
    network = student.network.definition
    network["connect"] = resolve_connect(network["connect"], view.schema)
    entry = student.entry
    card = {
        "dagfm": dagfm.__version__,
        "made_from": student.fingerprint,
        "served": {key: entry[key] for key in ("name", "phase", "seed")},
        "metrics": entry["metrics"],
        "label": config.data.label.model_dump(mode="json"),
        "weight": config.data.weight,
        "tables": sorted(config.data.tables),
    }
    calibration = {"scale": 1.0, "shift": Sampling.of(config.data.negatives).shift}
    return Bundle(view.encoder, network, load(student.weights.read_bytes()), calibration, card)


def completed(bundle: Bundle, view: View, prepared: Prepared, sampling: Sampling) -> Bundle:
    """``bundle`` with what its own scores tell: the distributions of its fields and scores on validation rows, as the
    whole log has them, and golden rows."""
    part, scorer = prepared.valid, Scorer(bundle)
    chosen = evenly(len(part), _ROWS)
    rows = view.pick(part.rows.take(chosen))
    scores = sigmoid(scorer.served_encoded(rows)).astype(np.float32)
    weights = None if part.weights is None else part.weights[chosen]
    _, amounts = sampling.judged(Dataset(rows, part.labels[chosen], weights))
    return with_golden(replace(bundle, reference=reference_of(view.encoder, rows, scores, amounts)), scorer)
