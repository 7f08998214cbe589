"""What DAGFM's nodes send along the edges, in float64: of some edges each for itself, or summed where they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dagfm.metrics import Float64

Type = Literal["inner", "outer", "kernel"]


@dataclass(frozen=True, eq=False)
class Messages:
    """``M_{f,s}(h)`` of every layer and edge: ``p ⊙ h`` (inner), ``<p, h> q`` (outer), ``W h`` (kernel) (KD-DAGFM).

    The edges f ≤ s lie in the order of ``numpy.triu_indices(F)``: (0,0), (0,1), ..., (0,F-1), (1,1), ...
    """

    type: Type
    fields: int
    weights: tuple[Float64, ...]
    """p, or p and q, each (depth, F(F+1)/2, D); or W (depth, F(F+1)/2, D, D), its last axis on the source."""
    back: bool = False
    """Whether they go from the edges' ends to their sources."""

    @classmethod
    def of(cls, type: Type, fields: int, arrays: Mapping[str, NDArray[Any]]) -> Messages:
        """Those of a network's parameters under their own names."""
        names = {"inner": "p", "outer": "pq", "kernel": "w"}[type]
        return cls(type, fields, tuple(np.asarray(arrays[name], np.float64) for name in names))

    def __call__(self, layer: int, edges: slice, h: Float64) -> Float64:
        """What n edges send of the states h (n, B, D), or (1, B, D) of one node: (n, B, D)."""
        first, *second = (one[layer, edges] for one in self.weights)
        if self.type == "inner":
            return first[:, None] * h
        if self.type == "outer":
            numbers: Float64 = np.matmul(h, first[:, :, None])
            return numbers * second[0][:, None]
        sent: Float64 = np.matmul(h, first.swapaxes(1, 2))
        return sent

    def sums(self, layer: int, h: Float64) -> Float64:
        """What every node gets of the states h (F, B, D) of all: ``A_s = Σ_f M_{f,s}(h_f)``, (F, B, D)."""
        first, *second = (one[layer] for one in self._square)
        fields, rows, size = h.shape
        if self.type == "inner":
            got: Float64 = np.matmul(np.ascontiguousarray(h.transpose(2, 1, 0)), first)  # (D, B, S)
            return got.transpose(2, 1, 0)
        if self.type == "outer":
            numbers = np.matmul(h, first)  # (F, B, S)
            got = np.matmul(np.ascontiguousarray(numbers.transpose(2, 1, 0)), second[0])
        else:
            flat = h.transpose(1, 0, 2).reshape(rows, fields * size)
            got = (flat @ first).reshape(rows, fields, size).transpose(1, 0, 2)
        return got

    @cached_property
    def _square(self) -> tuple[Float64, ...]:
        """The weights as ``sums`` multiplies by them, zero where there is no edge: inner (depth, D, F, S); outer
        (depth, F, D, S) and (depth, S, F, D); kernel (depth, F·D, S·D)."""
        ends = np.triu_indices(self.fields)
        found = []
        for one in self.weights:
            whole = np.zeros((len(one), self.fields, self.fields, *one.shape[2:]))
            whole[:, ends[self.back], ends[not self.back]] = one
            found.append(whole)
        if self.type == "inner":
            return (np.ascontiguousarray(found[0].transpose(0, 3, 1, 2)),)
        if self.type == "outer":
            return tuple(np.ascontiguousarray(one.transpose(0, *way)) for one, way in zip(found, _WAYS, strict=True))
        depth, fields, _, size, _ = found[0].shape
        return (found[0].transpose(0, 1, 4, 2, 3).reshape(depth, fields * size, fields * size),)

    @property
    def transposed(self) -> Messages:
        """The transposed maps, which take a gradient back from the end of an edge to its source."""
        swapped = tuple(one.swapaxes(2, 3) for one in self.weights) if self.type == "kernel" else self.weights[::-1]
        return replace(self, weights=swapped, back=not self.back)

    @property
    def absolute(self) -> Messages:
        """The same of absolute weights, which bound what any state becomes."""
        return replace(self, weights=tuple(np.abs(one) for one in self.weights))


_WAYS = (1, 3, 2), (2, 1, 3)
"""Axes (source, target, D) of p as (source, D, target), and of q as (target, source, D)."""
