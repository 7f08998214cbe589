"""A DAGFM in float64, taken apart: what of the logit comes from every order, edge and field of a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.metrics import Float64
from dagfm.serving.explanation.messages import Messages
from dagfm.serving.forward import connect_matrix


@dataclass(frozen=True, eq=False)
class Parts:
    """What each of B rows' logits is the sum of, in four ways; the bias comes to each of them."""

    orders: Float64
    """(depth + 1, B) by the number of factors, from 1 on."""
    edges: Float64
    """(F(F+1)/2, B) by the last edge, in the order of ``numpy.triu_indices(F)``; order 1 is its node's own edge."""
    nodes: Float64
    """(F, B) by the node where it ends."""
    fields: Float64
    """(F, B) by the fields whose vectors are multiplied, in equal shares."""


class Graph:
    """The network's weights, ready to be taken apart; of a linear head alone."""

    def __init__(self, config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], fields: int) -> None:
        """``arrays`` are the network's parameters under their own names, of the shapes that ``config`` asks for."""
        self.fields, self.depth = fields, int(config["depth"])
        self.messages = Messages.of(config["type"], fields, arrays)
        self.back = self.messages.transposed
        self.bound = self.back.absolute
        self.head: Float64 = np.asarray(arrays["head.weight"], np.float64).reshape(self.depth + 1, fields)
        self.bias = float(arrays["head.bias"].reshape(-1)[0])
        self.edges = np.triu_indices(fields)
        """Sources and targets, (F(F+1)/2,) each, in the order that all edges have here."""
        self.own = np.array([self.from_source(node).start for node in range(fields)])
        """(F,) which of them leads from each node to itself, the first one to leave it."""
        connect = connect_matrix(config, arrays, fields)
        self.connect: Float64 | None = None if connect is None else connect.astype(np.float64)

    def from_source(self, node: int) -> slice:
        """The edges that leave a node, to itself first and then to the later ones."""
        start = node * self.fields - node * (node - 1) // 2
        return slice(start, start + self.fields - node)

    def first_states(self, vectors: Float64) -> Float64:
        """``H0 = C E``: field vectors (F, B, D) to states (F, B, D)."""
        return vectors if self.connect is None else np.tensordot(self.connect, vectors, 1)

    def parts(self, vectors: Float64, first: Float64 | None = None) -> Parts:
        """Take the logits of field vectors (F, B, D) and first-order weights (F, B) apart.

        By field: a product of k states is, each being a mixture of field vectors (C), a sum of products of k of these;
        each gives 1/k of its value to every factor's field, k/k to one that is all of them. By Euler's theorem for the
        homogeneous f_k that is <E_g, ∂f_k/∂E_g> / k: one pass back with the head's weights divided by the order. It is
        the value of Aumann and Shapley (1974), integrated gradients from zero vectors (Sundararajan et al., ICML 2017).
        """
        h0 = self.first_states(vectors)
        aggregates, rows = self._aggregates(h0), h0.shape[1]
        nodes = np.zeros((self.depth + 1, self.fields, rows))
        nodes[0] = self.head[0][:, None] * h0.sum(2) + (0.0 if first is None else first)
        edges = np.zeros((len(self.edges[0]), rows))
        edges[self.own] = nodes[0]
        h = h0
        for layer, aggregate in enumerate(aggregates):
            ends = self.head[layer + 1][:, None, None] * h0
            for node in range(self.fields):
                leaving = self.from_source(node)
                sent = self.messages(layer, leaving, h[node : node + 1])
                edges[leaving] += np.einsum("nbd,nbd->nb", sent, ends[node:])
            h = h0 * aggregate
            nodes[layer + 1] = self.head[layer + 1][:, None] * h.sum(2)
        shares = self.head / np.arange(1, self.depth + 2)[:, None]
        fields = np.einsum("fbd,fbd->fb", vectors, self._gradient(shares, h0, aggregates))
        return Parts(nodes.sum(1), edges, nodes.sum(0), fields if first is None else fields + first)

    def fields_from(
        self, empty: Float64, vectors: Float64, empty_first: Float64 | None = None, first: Float64 | None = None
    ) -> Float64:
        """(F, B) what every field adds to the logit of ``empty`` (F, 1, D) when it turns to ``vectors`` (F, B, D).

        Integrated gradients along the straight line between the two. Along it the logit is a polynomial of degree
        depth + 1, so that Gauss and Legendre's rule with depth // 2 + 1 points gives the integral itself.
        """
        change, added = vectors - empty, np.zeros(vectors.shape[:2])
        if first is not None and empty_first is not None:
            added += first - empty_first
        for point, weight in zip(*np.polynomial.legendre.leggauss(self.depth // 2 + 1), strict=True):
            h0 = self.first_states(empty + (point + 1) / 2 * change)
            added += weight / 2 * np.einsum("fbd,fbd->fb", change, self._gradient(self.head, h0, self._aggregates(h0)))
        return added

    def _aggregates(self, h0: Float64) -> list[Float64]:
        """A of every layer, (F, B, D) each."""
        found = [self.messages.sums(0, h0)]
        for layer in range(1, self.depth):
            found.append(self.messages.sums(layer, h0 * found[-1]))
        return found

    def _gradient(self, head: Float64, h0: Float64, aggregates: list[Float64]) -> Float64:
        """(F, B, D) of the logit with these weights of the head (depth + 1, F), for the field vectors."""
        to_h0, to_h = np.zeros_like(h0), np.zeros_like(h0)
        for layer in reversed(range(self.depth)):
            to_h = to_h + head[layer + 1][:, None, None]
            to_h0 += to_h * aggregates[layer]
            to_h = self.back.sums(layer, to_h * h0)
        to_h0 += to_h + head[0][:, None, None]
        return to_h0 if self.connect is None else np.tensordot(self.connect.T, to_h0, 1)
