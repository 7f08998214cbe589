"""Requests that a model answers, of values that it knows, with its answers: what the description shows."""

from __future__ import annotations

from typing import Any

from dagfm.server.infer import OUTPUT
from dagfm.server.models import Served
from dagfm.serving.ranking import columns_of

_FIRST = 17
"""Golden rows from here on hold numbers near the mean, and tokens that are known."""


def examples(served: Served) -> dict[str, tuple[Any, Any]]:
    """The body of a request and its answer for predict, rank (where it can), explain (None: it is long) and infer.

    A bundle of an earlier dagfm, without golden rows, has missing values in them.
    """
    scorer, (first, second) = served.scorer, (_row(served, place) for place in (_FIRST, _FIRST + 1))
    found: dict[str, tuple[Any, Any]] = {
        "predict": ({"rows": [first, second]}, {"scores": _short(scorer.predict([first, second]).tolist())}),
        "explain": ({"rows": [first], "paths": 2}, None),
        "infer": (_tensors(served, first), _answered(served, _short(scorer.predict([first]).tolist()))),
    }
    if scorer.schema.has_sides:
        context = {name: first[name] for name in columns_of(scorer.schema, "context")}
        names = columns_of(scorer.schema, "candidate")
        candidates = [{name: row[name] for name in names} for row in (first, second)]
        ranking = scorer.rank(context, candidates, 2)
        asked = {"context": context, "candidates": candidates, "top": 2}
        found["rank"] = asked, {"indices": ranking.indices.tolist(), "scores": _short(ranking.scores.tolist())}
    return found


def _row(served: Served, place: int) -> dict[str, Any]:
    golden = served.scorer.bundle.golden
    if golden is None:
        return dict.fromkeys(served.scorer.schema.columns)
    return {name: _short(golden.columns[name][place]) for name in served.scorer.schema.columns}


def _short(value: Any) -> Any:
    """Numbers as a person writes them."""
    if isinstance(value, list):
        return [_short(one) for one in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _tensors(served: Served, row: dict[str, Any]) -> dict[str, Any]:
    """The row as the tensors of the Open Inference Protocol."""
    inputs = []
    for name, column in served.columns.items():
        cell, kind = row[name], "FP32" if column.numbers else "BYTES"
        if cell is None:
            cell = [0.0] * (column.width or 1) if column.numbers else ""
        data = [value if column.numbers else str(value) for value in (cell if isinstance(cell, list) else [cell])]
        shape = [1, len(data)] if column.lists else [1]
        inputs.append({"name": name, "datatype": kind, "shape": shape, "data": data})
    return {"inputs": inputs}


def _answered(served: Served, scores: list[float]) -> dict[str, Any]:
    outputs = [{"name": OUTPUT, "datatype": "FP32", "shape": [len(scores)], "data": scores}]
    return {"model_name": served.model, "model_version": served.version, "outputs": outputs}
