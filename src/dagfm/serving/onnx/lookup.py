"""From row ids and numbers to the fields' vectors, in ONNX: what ``serving.forward.embed`` does."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.spans import Spans
from dagfm.kernel.scoring import Table
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field, Schema
from dagfm.serving.onnx.feeds import FLOATS, TOKENS, items_input
from dagfm.serving.onnx.graph import FLOAT, INT64, Graph
from dagfm.serving.quantised import expanded

Floats = NDArray[np.float32]


def embedded(graph: Graph, table: Table, schema: Schema, spans: Spans) -> str:
    """The vectors (B, F, D) of all fields in node order; ``spans`` says which rows of ``table`` are whose.

    A table of smaller numbers stays one: rows become float32 when they are looked up. An id that is no row of its field
    counts as *unknown*, a sequence of padding alone as *missing*.
    """
    weights = _Weights(graph, table)
    nodes = {
        form: [node for node, one in enumerate(schema) if one.form == form] for form in ("ids", "items", "numbers")
    }
    parts = []
    if nodes["ids"]:
        tokens = graph.input(TOKENS, INT64, "rows", len(nodes["ids"]))
        parts.append(weights.looked_up(tokens, spans.starts[nodes["ids"]], spans.sizes[nodes["ids"]]))
    for node in nodes["items"]:
        field = schema.fields[node]
        items = graph.input(items_input(field.name), INT64, "rows", f"longest {field.name}")
        vectors = weights.looked_up(items, spans.starts[[node]], spans.sizes[[node]])
        missing = int(spans.starts[node]) + MISSING
        parts.append(_pooled(graph, field, items, vectors, expanded(table, slice(missing, missing + 1))[0]))
    if nodes["numbers"]:
        floats = graph.input(FLOATS, FLOAT, "rows", sum(schema.fields[node].width for node in nodes["numbers"]))
        column = 0
        for node in nodes["numbers"]:
            width = schema.fields[node].width
            parts.append(_scaled(graph, floats, column, width, expanded(table, spans.slice_of(node))))
            column += width
    together = graph.op("Concat", *parts, axis=1) if len(parts) > 1 else parts[0]
    order = [node for group in nodes.values() for node in group]
    if order == sorted(order):
        return together
    return graph.op("Gather", together, graph.ids(*np.argsort(order).tolist()), axis=1)


class _Weights:
    """The table as constants of the graph."""

    def __init__(self, graph: Graph, table: Table) -> None:
        self._graph, self._small = graph, table.rows.dtype != np.float32
        self._rows = graph.constant(table.rows, table.rows.dtype.type, name="embedding.weight")
        self._scales = None
        if table.scales is not None:
            self._scales = graph.constant(table.scales[:, None], np.float16, name="embedding.scales")

    def looked_up(self, ids: str, starts: NDArray[np.int64], sizes: NDArray[np.int64]) -> str:
        """The vectors (B, n, D) of ids (B, n) that count from 0 within their fields."""
        graph = self._graph
        first, last = graph.constant(UNKNOWN, np.int64), graph.ids(*(sizes - 1).tolist())
        wrong = graph.op("Or", graph.op("Less", ids, first), graph.op("Greater", ids, last))
        known = graph.op("Where", wrong, first, ids)
        rows = graph.op("Add", known, graph.ids(*starts.tolist()))
        vectors = graph.op("Gather", self._rows, rows, axis=0)
        if self._small:
            vectors = graph.op("Cast", vectors, to=FLOAT)
        if self._scales is not None:
            scales = graph.op("Cast", graph.op("Gather", self._scales, rows, axis=0), to=FLOAT)
            vectors = graph.op("Mul", vectors, scales)
        return vectors


def _pooled(graph: Graph, field: Field, items: str, vectors: str, missing: Floats) -> str:
    """One vector (B, 1, D) of the items' (B, n, D)."""
    held = graph.op("GreaterOrEqual", items, graph.constant(0, np.int64))
    mask = graph.op("Unsqueeze", held, graph.ids(2))
    count = graph.op("ReduceSum", graph.op("Cast", mask, to=FLOAT), graph.ids(1), keepdims=1)
    filler = graph.constant(-np.inf if field.pooling == "max" else 0.0)
    kept = graph.op("Where", mask, vectors, filler)
    if field.pooling == "max":
        pooled = graph.op("ReduceMax", kept, axes=[1], keepdims=1)
    else:
        pooled = graph.op("ReduceSum", kept, graph.ids(1), keepdims=1)
    if field.pooling == "mean":
        pooled = graph.op("Div", pooled, graph.op("Max", count, graph.constant(1.0)))
    empty = graph.op("Less", count, graph.constant(0.5))
    return graph.op("Where", empty, graph.constant(missing), pooled)


def _scaled(graph: Graph, floats: str, column: int, width: int, rows: Floats) -> str:
    """The vector (B, 1, D) of a field's numbers, which are ``width`` columns of (B, W); ``rows`` are the field's."""
    axis = graph.ids(1)
    values = graph.op("Slice", floats, graph.ids(column), graph.ids(column + width), axis)
    absent = graph.op("IsNaN", values)
    present = graph.op("Where", absent, graph.constant(0.0), values)
    vector = graph.op("MatMul", present, graph.constant(rows[FIRST : FIRST + width]))
    share = graph.op("ReduceMin", graph.op("Cast", absent, to=FLOAT), axes=[1], keepdims=1)
    nothing = graph.op("Greater", share, graph.constant(0.5))
    return graph.op("Unsqueeze", graph.op("Where", nothing, graph.constant(rows[MISSING]), vector), axis)
