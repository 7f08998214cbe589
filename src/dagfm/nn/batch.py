"""Encoded rows as tensors: every (row, field) is a bag of table rows with weights, ready for one pooled look-up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dagfm.encoding.rows import Int64, Ragged, Rows
from dagfm.encoding.selection import Selection
from dagfm.encoding.spans import Spans
from dagfm.kernel.table import Bags
from dagfm.schema import FIRST, MISSING, Schema


@dataclass(frozen=True)
class Maxima:
    """The bags of the fields that are pooled by their maximum: M bags with V values."""

    ids: Tensor
    """(V,) int64, rows of the embedding table."""
    offsets: Tensor
    """(M + 1,) int64, where each bag starts in ``ids``."""
    bags: Tensor
    """(M,) int64, which of all B * F bags each one is."""

    def to(self, device: torch.device) -> Maxima:
        """The same bags on another device."""
        return Maxima(self.ids.to(device), self.offsets.to(device), self.bags.to(device))


@dataclass(frozen=True)
class Batch:
    """B rows of F fields with V values in all; a plain token is a bag of one."""

    ids: Tensor
    """(V,) int64, rows of the embedding table."""
    offsets: Tensor
    """(B * F + 1,) int64, where each bag starts in ``ids``, row by row in node order."""
    owners: Tensor | None
    """(V,) int64, the bag each value belongs to; None where every bag holds exactly one value."""
    weights: Tensor | None
    """(V,) float32, what each value's vector is multiplied by; None where all are one."""
    maxima: Maxima | None = None
    """The bags that are no sums; they are empty above."""
    table: Tensor | None = None
    """(U, D), the rows that ``ids`` count in; None where that is the model's embedding table."""
    pooled: Tensor | None = None
    """(B * F, D), the sums of all bags where they are known already."""

    @property
    def bags(self) -> Bags:
        """The bags that are sums, for the kernel; of a batch on a CPU."""
        owners, shares = (None if one is None else one.numpy() for one in (self.owners, self.weights))
        return Bags(self.ids.numpy(), None if owners is None else self.offsets.numpy(), owners, shares)

    def to(self, device: torch.device) -> Batch:
        """The same batch on another device."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        maxima = None if self.maxima is None else self.maxima.to(device)
        ids, offsets = self.ids.to(device), self.offsets.to(device)
        return Batch(ids, offsets, move(self.owners), move(self.weights), maxima, move(self.table), move(self.pooled))


class Layout:
    """Where the fields of a schema lie in ``Rows`` and in the embedding table."""

    def __init__(self, schema: Schema, spans: Spans, selection: Selection | None = None) -> None:
        """``spans``: the table rows of each field, in node order; ``selection``: where the fields stand in rows that
        hold others, too."""
        self._selection = selection
        self.fields = len(schema)
        self.spans = spans
        forms = [field.form for field in schema]
        self._tokens = np.flatnonzero([form == "ids" for form in forms])
        self._sequences = [node for node, form in enumerate(forms) if form == "items"]
        self._maxima = [schema.fields[node].pooling == "max" for node in self._sequences]
        self._means = [schema.fields[node].pooling == "mean" for node in self._sequences]
        self._floats = [(node, field.width) for node, field in enumerate(schema) if field.form == "numbers"]
        self._single = len(self._tokens) == self.fields

    @property
    def table_rows(self) -> int:
        """Rows of the embedding table, all fields together."""
        return self.spans.total

    @property
    def has_maxima(self) -> bool:
        """Whether a field is pooled by its maximum."""
        return any(self._maxima)

    def is_float(self, node: int) -> bool:
        """Whether the node's rows are the vectors of numbers rather than of tokens."""
        return any(node == floating for floating, _ in self._floats)

    def batch(self, rows: Rows) -> Batch:
        """Turn B encoded rows into one bag per row and field."""
        if self._selection is not None:
            rows = self._selection.of(rows)
        count = len(rows)
        tokens = rows.tokens + self.spans.starts[self._tokens]  # int64 from here on
        if self._single:
            bags = torch.arange(count * self.fields + 1)
            return Batch(torch.from_numpy(tokens.reshape(-1)), bags, None, None)
        lengths = np.ones((count, self.fields), np.int64)
        for node, largest, sequence in zip(self._sequences, self._maxima, rows.sequences, strict=True):
            lengths[:, node] = 0 if largest else np.diff(sequence.offsets)
        for node, width in self._floats:
            lengths[:, node] = width
        offsets = np.zeros(count * self.fields + 1, np.int64)
        np.cumsum(lengths.reshape(-1), out=offsets[1:])
        starts = offsets[:-1].reshape(count, self.fields)
        ids = np.empty(offsets[-1], np.int64)
        weights = np.ones(offsets[-1], np.float32) if any(self._means) or self._floats else None
        ids[starts[:, self._tokens]] = tokens
        for node, mean, largest, sequence in zip(
            self._sequences, self._means, self._maxima, rows.sequences, strict=True
        ):
            if not largest:
                self._place_sequence(node, mean, sequence, starts, ids, weights)
        self._place_floats(rows.floats, starts, ids, weights)
        owners = np.repeat(np.arange(count * self.fields), lengths.reshape(-1))
        factors = None if weights is None else torch.from_numpy(weights)
        maxima = self._bags_of_maxima(rows) if any(self._maxima) else None
        return Batch(torch.from_numpy(ids), torch.from_numpy(offsets), torch.from_numpy(owners), factors, maxima)

    def _bags_of_maxima(self, rows: Rows) -> Maxima:
        """The sequences that are pooled by their maximum, one field after the other."""
        chosen = [
            (node, sequence)
            for node, largest, sequence in zip(self._sequences, self._maxima, rows.sequences, strict=True)
            if largest
        ]
        ids = np.concatenate([sequence.values + self.spans.starts[node] for node, sequence in chosen])
        lengths = np.concatenate([np.diff(sequence.offsets) for _, sequence in chosen])
        bags = np.concatenate([np.arange(len(rows)) * self.fields + node for node, _ in chosen])
        offsets = np.zeros(len(lengths) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return Maxima(torch.from_numpy(ids), torch.from_numpy(offsets), torch.from_numpy(bags))

    def _place_sequence(
        self, node: int, mean: bool, sequence: Ragged, starts: Int64, ids: Int64, weights: np.ndarray | None
    ) -> None:
        lengths = np.diff(sequence.offsets)
        where = np.repeat(starts[:, node] - sequence.offsets[:-1], lengths) + np.arange(len(sequence.values))
        ids[where] = sequence.values + self.spans.starts[node]
        if mean and weights is not None:
            weights[where] = np.repeat((1.0 / lengths).astype(np.float32), lengths)

    def _place_floats(self, floats: np.ndarray, starts: Int64, ids: Int64, weights: np.ndarray | None) -> None:
        column = 0
        for node, width in self._floats:
            values = floats[:, column : column + width]
            column += width
            absent = np.isnan(values)
            missing = absent.all(axis=1)
            where = starts[:, node, None] + np.arange(width)
            ids[where] = np.where(missing[:, None], MISSING, FIRST + np.arange(width)) + self.spans.starts[node]
            if weights is not None:
                # A missing cell is its missing row once; a missing component alone counts as the mean, which is zero.
                once = np.arange(width) == 0
                weights[where] = np.where(missing[:, None], once, np.where(absent, 0.0, values))
