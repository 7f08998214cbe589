"""Named starting points between the code's defaults and the user's file."""

from __future__ import annotations

from typing import Any

_REFERENCE_PHASE: dict[str, Any] = {
    "learning_rate": 1e-3,
    "schedule": "constant",
    "epochs": 300,
    "patience": 10,
    "monitor": "auc",
    "decay": 0.0,
    "dropout": 0.0,
}

FIELD_DEFAULTS: dict[str, dict[str, dict[str, Any]]] = {
    "default": {},
    "paper": {"token_seq": {"pooling": "mean"}},
}
"""By preset and field type: settings of fields that do not name them."""

PRESETS: dict[str, dict[str, Any]] = {
    "default": {},
    # RecBole 1.2.1, properties/model/KD_DAGFM.yaml and properties/overall.yaml; beta = 0.9 * 1024 there too.
    "paper": {
        "embedding": {"size": 16},
        "teacher": {"network": "crossnet", "depth": 3},
        "student": {"network": "dagfm", "type": "outer", "depth": 3, "connect": "full", "head": "linear"},
        "distillation": {"alpha": 0.1, "beta": 921.6, "embedding": "teacher_frozen", "recombined": 0.0},
        "finetuning": {"kd_weight": 0.0},
        "training": {
            "batch_size": 2048,
            "initialisation": "reference",
            "teacher_training": _REFERENCE_PHASE,
            "distillation": _REFERENCE_PHASE,
            "finetuning": _REFERENCE_PHASE,
            "scratch": _REFERENCE_PHASE,
            "fm": _REFERENCE_PHASE,
        },
    },
}
