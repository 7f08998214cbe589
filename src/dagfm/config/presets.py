"""Named starting points between the code's defaults and the user's file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_REFERENCE_PHASE: dict[str, Any] = {
    "learning_rate": 1e-3,
    "schedule": "constant",
    "epochs": 300,
    "patience": 10,
    "monitor": "auc",
    "evaluations_per_epoch": 1,
    "decay": 0.0,
    "updated_rows": "all",
    "dropout": 0.0,
    "ema": 0.0,
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
        "distillation": {
            "alpha": 0.1,
            "beta": 921.6,
            "embedding": "teacher_frozen",
            "network": "own",
            "recombined": 0.0,
            "calibrate": False,
        },
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


def with_preset(written: Mapping[str, Any]) -> dict[str, Any]:
    """What is written, on top of the preset that it names (an unknown one is for the caller to refuse)."""
    preset = str(written.get("preset", "default"))
    result = merged(PRESETS.get(preset, {}), written)
    if isinstance(result.get("fields"), list | tuple):
        defaults = FIELD_DEFAULTS.get(preset, {})
        result["fields"] = [_field(field, defaults) for field in result["fields"]]
    return result


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the keys of ``over``; a mapping that names another network replaces instead of mixing settings."""
    result = dict(base)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping):
            was = network_named(old)
            another = network_named(value, was) != was
            result[key] = dict(value) if another else merged(old, value)
        else:
            result[key] = value
    return result


def network_named(settings: Mapping[str, Any], default: Any = None) -> Any:
    """The network that some settings are of, in lower case: ``network``, ``scores`` where that key says it."""
    network = settings.get("network", "scores" if "scores" in settings else default)
    return network.lower() if isinstance(network, str) else network


def _field(field: Any, defaults: Mapping[str, Mapping[str, Any]]) -> Any:
    """A field with its preset's settings where it does not name them."""
    if not isinstance(field, Mapping):
        return field
    return {**defaults.get(str(field.get("type", "token")), {}), **field}
