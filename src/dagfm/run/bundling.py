"""From a trained student to what a bundle holds."""

from __future__ import annotations

from safetensors.numpy import load

import dagfm
from dagfm.config import Config
from dagfm.nn.dagfm import resolve_connect
from dagfm.serving.bundle import Bundle
from dagfm.serving.golden import with_golden
from dagfm.training.sampling import Sampling
from dagfm.training.view import View
from dagfm.training.workshop import Trained


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
    return with_golden(Bundle(view.encoder, network, load(student.weights.read_bytes()), calibration, card))
