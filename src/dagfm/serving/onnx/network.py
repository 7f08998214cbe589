"""From the fields' vectors to the logit, in ONNX: what ``serving.forward.Network`` does in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from dagfm.serving.forward import Network
from dagfm.serving.onnx.graph import Graph

Floats = NDArray[np.float32]


def logit(graph: Graph, network: Network, embedded: str) -> str:
    """The logits (B,) of field embeddings (B, F, D), (B, F, D + 1) with first-order weights."""
    size, last = network.size, graph.ids(2)
    vectors = graph.op("Slice", embedded, graph.ids(0), graph.ids(size), last) if network.first_order else embedded
    h0 = vectors if network.connect is None else graph.op("MatMul", graph.constant(network.connect), vectors)
    states = [h0]
    step = {"inner": _inner, "outer": _outer, "kernel": _kernel}[network.type]
    for layer in range(network.depth):
        states.append(graph.op("Mul", h0, step(graph, network, layer)(states[-1])))
    sums = [graph.op("ReduceSum", state, last, keepdims=0) for state in states]
    together = graph.op("Concat", *sums, axis=1)
    total = graph.op("MatMul", together, graph.constant(network.head.reshape(-1)))
    total = graph.op("Add", total, graph.constant(network.bias))
    if network.hidden:
        x = together
        for weight, bias in network.hidden:
            x = graph.op("Relu", graph.op("Gemm", x, graph.constant(weight), graph.constant(bias)))
        total = graph.op("Add", total, graph.op("MatMul", x, graph.constant(network.deep_weight)))
    if network.first_order:
        first = graph.op("Slice", embedded, graph.ids(size), graph.ids(size + 1), last)
        total = graph.op("Add", total, graph.op("ReduceSum", first, graph.ids(1, 2), keepdims=0))
    return total


def _inner(graph: Graph, network: Network, layer: int) -> Callable[[str], str]:
    p = graph.constant(network.p[layer])  # (D, F, S)

    def aggregate(state: str) -> str:
        by_size = graph.op("Transpose", state, perm=[2, 0, 1])
        return graph.op("Transpose", graph.op("MatMul", by_size, p), perm=[1, 2, 0])

    return aggregate


def _outer(graph: Graph, network: Network, layer: int) -> Callable[[str], str]:
    p, q = graph.constant(network.p[layer]), graph.constant(network.q[layer])  # (F, D, S), (S, F, D)

    def aggregate(state: str) -> str:
        terms = graph.op("MatMul", graph.op("Transpose", state, perm=[1, 0, 2]), p)  # (F, B, S)
        sent = graph.op("MatMul", graph.op("Transpose", terms, perm=[2, 1, 0]), q)  # (S, B, D)
        return graph.op("Transpose", sent, perm=[1, 0, 2])

    return aggregate


def _kernel(graph: Graph, network: Network, layer: int) -> Callable[[str], str]:
    width = network.fields * network.size
    w = network.w[layer].transpose(0, 3, 1, 2).reshape(width, width)  # rows (f, e), columns (s, d)
    weights = graph.constant(w)

    def aggregate(state: str) -> str:
        sent = graph.op("MatMul", graph.op("Reshape", state, graph.ids(-1, width)), weights)
        return graph.op("Reshape", sent, graph.ids(-1, network.fields, network.size))

    return aggregate
