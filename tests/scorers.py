"""Scorers of drawn weights over fields of every kind, and the log that their encoders have learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from clicks import FIELDS, click_log
from oracle import fitted

from dagfm.schema import Field, Schema
from dagfm.serving.bundle import Bundle
from dagfm.serving.scorer import Scorer

LOG = click_log(400)
MORE: list[dict[str, Any]] = [
    {"name": "history", "type": "token_seq", "vocabulary": "item", "column": "tags", "separator": "|"},
    {"name": "user x group", "cross": ("user", "group")},
    {"name": "user x item", "cross": ("user", "item"), "hash": 40},
    {"name": "item x item", "cross": ("item", "amount"), "hash": 30},
    {"name": "amount", "type": "float", "encode": "quantile", "column": "price", "bins": 4},
]


def scorer_of(
    names: set[str], candidates: set[str], connect: str, message: str = "inner", depth: int = 3, **options: Any
) -> Scorer:
    """A drawn network of some fields, those of ``candidates`` being the candidate's."""
    by_name = {one["name"]: one for one in [*FIELDS, *MORE]}
    wanted = list(dict.fromkeys(names))
    for name in wanted:
        wanted += [other for other in (*by_name[name].get("cross", ()), by_name[name].get("vocabulary")) if other]
    fields = [
        Field(**{**one, "side": "candidate" if name in candidates else None if "cross" in one else "context"})
        for name, one in by_name.items()
        if name in wanted
    ]
    schema = Schema.of(tuple(fields))
    encoder = fitted(schema, LOG)
    draw, count, size = np.random.default_rng(0), len(schema), 5
    pairs = count * (count + 1) // 2

    def normal(*shape: int) -> np.ndarray:
        return (draw.normal(size=shape) / np.sqrt(count)).astype(np.float32)

    width = size + bool(options.get("first_order"))
    arrays = {
        "embedding.weight": normal(encoder.spans.total, width),
        "network.p": normal(depth, pairs, size),
        "network.q": normal(depth, pairs, size),
        "network.w": normal(depth, pairs, size, size),
        "network.connect_layer": normal(count, count) if connect == "full" else normal(pairs),
        "network.head.weight": normal(1, count * (depth + 1)),
        "network.head.bias": normal(1),
    }
    absent = {"inner": "qw", "outer": "w", "kernel": "pq"}[message]
    for name in [*(f"network.{one}" for one in absent), *["network.connect_layer"] * (connect == "none")]:
        del arrays[name]
    network = {"type": message, "depth": depth, "connect": connect, **options}
    return Scorer(Bundle(encoder, network, arrays, {"scale": 0.7, "shift": -0.1}, {}))


def deep_scorer() -> Scorer:
    """One whose head has hidden layers."""
    plain = scorer_of({"user", "item"}, {"item"}, "none", depth=1).bundle
    deep = {"head.deep.layers.0.weight": (3, 4), "head.deep.layers.0.bias": (3,), "head.deep_weight": (1, 3)}
    arrays = {**plain.arrays, **{f"network.{name}": np.ones(shape, np.float32) for name, shape in deep.items()}}
    return Scorer(replace(plain, arrays=arrays, network={**plain.network, "hidden": [3]}))
