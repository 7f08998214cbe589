"""The strongest paths of a row, without looking at all of them: 39 fields at depth 3 have 123,409."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dagfm.metrics import Float64
from dagfm.serving.explanation.graph import Graph

PIECE = 1 << 12
"""Beginnings of paths that are gone on with at a time, which bounds the memory."""

_ROUNDING = 1 + 1e-9
"""A bound is computed in other sums than what it bounds."""

Trails = NDArray[np.int16]
"""(n, depth + 1) the nodes of n paths, -1 behind their ends."""


class Search:
    """The ``most`` strongest paths of one row by absolute value: branch and bound, so none of them is missed.

    A path s_1 ≤ ... ≤ s_k ends in the head: its value is w_{k-1,s_k} Σ_d of the product of its states and the weights
    of its edges. Whatever a beginning with product v may still become is linear in v, so the largest that any of its
    ends can make of it is at most <|v|, reach>, where reach is, number by number, the largest over all ends. Beginnings
    that cannot come to more than what is found already are dropped.
    """

    def __init__(self, graph: Graph, h0: Float64, first: Float64 | None, most: int) -> None:
        """``h0`` (F, D) are the first states of the row, ``first`` (F,) its first-order weights."""
        self._graph, self._h0, self._most = graph, h0, most
        self._values: Float64 = np.zeros(0)
        self._trails: Trails = np.zeros((0, graph.depth + 1), np.int16)
        self._ends: list[Float64] = []
        """Of each layer (F(F+1)/2, D): the value of a path that ends after this edge is <v, this>."""
        self._reaches: list[Float64] = []
        """Of each layer (F(F+1)/2, D): the absolute value of one that goes on beyond it is at most <|v|, this>."""
        self._prepare()
        trails: Trails = np.full((graph.fields, graph.depth + 1), -1, np.int16)
        trails[:, 0] = np.arange(graph.fields)
        self._offer(graph.head[0] * h0.sum(1) + (0.0 if first is None else first), trails)
        self._extend(0, h0, trails)

    def paths(self) -> list[tuple[list[int], float]]:
        """Nodes and values, the strongest first; of equal ones the shorter, then the one with the earlier nodes."""
        lengths = (self._trails >= 0).sum(1)
        order = np.lexsort((*self._trails.T[::-1], lengths, -np.abs(self._values)))
        return [(self._trails[one, : lengths[one]].tolist(), float(self._values[one])) for one in order]

    def _prepare(self) -> None:
        graph, h0 = self._graph, self._h0
        _, targets = graph.edges
        beyond = np.zeros_like(h0)
        for layer in reversed(range(graph.depth)):
            ends = graph.back(layer, slice(None), (graph.head[layer + 1][:, None] * h0)[targets, None])[:, 0]
            reaches = graph.bound(layer, slice(None), (np.abs(h0) * beyond)[targets, None])[:, 0]
            beyond = np.maximum.reduceat(np.maximum(np.abs(ends), reaches), graph.own)
            self._ends.insert(0, ends)
            self._reaches.insert(0, reaches * _ROUNDING)

    def _extend(self, layer: int, states: Float64, trails: Trails) -> None:
        """Go on with beginnings: their products (n, D) and nodes, ordered by the last of their layer + 1 nodes."""
        graph = self._graph
        nodes, starts = np.unique(trails[:, layer], return_index=True)
        spans = map(slice, starts, [*starts[1:], len(trails)])
        groups = [(node, graph.from_source(node), span) for node, span in zip(nodes.tolist(), spans, strict=True)]
        ended = []
        for node, leaving, group in groups:
            values = states[group] @ self._ends[layer][leaving].T
            rows, steps = np.nonzero(np.abs(values) > self._threshold)
            ended.append((values[rows, steps], _longer(trails[group][rows], layer, node + steps)))
        self._offer(*_joined(ended))
        if layer + 1 == graph.depth:
            return
        further = []
        for node, leaving, group in groups:
            bounds = np.abs(states[group]) @ self._reaches[layer][leaving].T
            rows, steps = np.nonzero(bounds > self._threshold)
            if len(rows):
                products = graph.messages(layer, leaving, states[None, group])[steps, rows] * self._h0[node + steps]
                further.append((products, _longer(trails[group][rows], layer, node + steps)))
        if not further:
            return
        products, longer = _joined(further)
        order = np.argsort(longer[:, layer + 1], kind="stable")
        for start in range(0, len(order), PIECE):
            piece = order[start : start + PIECE]
            self._extend(layer + 1, products[piece], longer[piece])

    @property
    def _threshold(self) -> float:
        """What is not above it is not among the strongest."""
        return float(np.abs(self._values).min()) if len(self._values) == self._most else -1.0

    def _offer(self, values: Float64, trails: Trails) -> None:
        values, trails = np.concatenate([self._values, values]), np.concatenate([self._trails, trails])
        best = np.argsort(-np.abs(values), kind="stable")[: self._most]
        self._values, self._trails = values[best], trails[best]


def _longer(trails: Trails, layer: int, nodes: NDArray[np.intp]) -> Trails:
    """A copy of trails with one node more behind ``layer``."""
    found = trails.copy()
    found[:, layer + 1] = nodes
    return found


def _joined(parts: list[tuple[Float64, Trails]]) -> tuple[Float64, Trails]:
    return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])
