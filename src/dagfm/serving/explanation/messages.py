"""What DAGFM's nodes send along the edges, in float64, as the numbers of single edges are wanted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dagfm.metrics import Float64

Edges = slice | NDArray[np.intp]
"""Places in the packed triangle."""


@dataclass(frozen=True, eq=False)
class Messages:
    """``M_{f,s}(h)`` of every layer and edge: ``p ⊙ h`` (inner), ``<p, h> q`` (outer), ``W h`` (kernel) (KD-DAGFM).

    The edges f ≤ s lie in the order of ``numpy.triu_indices(F)``: (0,0), (0,1), ..., (0,F-1), (1,1), ...
    """

    type: Literal["inner", "outer", "kernel"]
    weights: tuple[Float64, ...]
    """p, or p and q, each (depth, F(F+1)/2, D); or W (depth, F(F+1)/2, D, D), its last axis on the source."""

    @classmethod
    def of(cls, type: Literal["inner", "outer", "kernel"], arrays: Mapping[str, NDArray[Any]]) -> Messages:
        """Those of a network's parameters under their own names."""
        names = {"inner": "p", "outer": "pq", "kernel": "w"}[type]
        return cls(type, tuple(np.asarray(arrays[name], np.float64) for name in names))

    def __call__(self, layer: int, edges: Edges, h: Float64) -> Float64:
        """What n edges send of the states h (n, B, D), or (1, B, D) of one source: (n, B, D)."""
        first, *second = (one[layer, edges] for one in self.weights)
        if self.type == "inner":
            return first[:, None] * h
        if self.type == "outer":
            numbers: Float64 = np.matmul(h, first[:, :, None])
            return numbers * second[0][:, None]
        sent: Float64 = np.matmul(h, first.swapaxes(1, 2))
        return sent

    @property
    def transposed(self) -> Messages:
        """The transposed maps, which take a gradient back from the end of an edge to its source."""
        swapped = tuple(one.swapaxes(2, 3) for one in self.weights) if self.type == "kernel" else self.weights[::-1]
        return replace(self, weights=swapped)

    @property
    def absolute(self) -> Messages:
        """The same of absolute weights, which bound what any state becomes."""
        return replace(self, weights=tuple(np.abs(one) for one in self.weights))
