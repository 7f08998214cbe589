"""A drawn network, table and encoded rows of any kinds of fields, and what float64 makes of them."""

from __future__ import annotations

import numpy as np

from dagfm.kernel.calls import Weights
from dagfm.kernel.scoring import Compiled, Source, Sums
from dagfm.serving.quantised import expanded, quantised

MISSING, FIRST = 1, 2


class Case:
    """Drawn weights, a table, fields of given kinds and encoded rows of them."""

    def __init__(self, message, connect, kinds, size, depth, linear=True, first_order=False, seed=0, stored="float32"):
        draw = np.random.default_rng(seed)
        fields, pairs = len(kinds), len(kinds) * (len(kinds) + 1) // 2
        self.size, self.depth = size, depth

        def normal(*shape):
            return (draw.normal(size=shape) / np.sqrt(fields)).astype(np.float32)

        self.p, self.q = normal(depth, pairs, size), normal(depth, pairs, size) if message == "outer" else None
        self.c = {"none": None, "causal": normal(pairs), "full": normal(fields, fields)}[connect]
        self.head, self.bias = normal(1, fields * (depth + 1)), normal(1)
        self.message, self.connect, self.linear = message, connect, linear
        self.sources, start, columns = [], 0, {"ids": 0, "items": 0, "numbers": 0}
        for kind in kinds:
            width = int(draw.integers(1, 4)) if kind == "numbers" else 1
            group = kind if kind in columns else "items"
            self.sources.append(Source(kind, start, columns[group], width))
            columns[group] += width
            start += FIRST + 5
        self.columns = columns
        self.stored = quantised(normal(start, size + first_order), stored)
        self.table = expanded(self.stored)
        weights = Weights(
            message, connect, self.p, fields, self.q, self.c, *((self.head, self.bias) if linear else (None, None))
        )
        self.build = lambda version=None: Compiled(weights, self.stored, self.sources, version)

    def rows(self, count, seed=1):
        draw = np.random.default_rng(seed)
        tokens = draw.integers(0, FIRST + 5, (count, self.columns["ids"])).astype(np.int32)
        floats = draw.normal(size=(count, self.columns["numbers"])).astype(np.float32)
        floats[draw.random(floats.shape) < 0.3] = np.nan
        sequences = []
        for _ in range(self.columns["items"]):
            offsets = np.concatenate([[0], np.cumsum(draw.integers(1, 6, count))]).astype(np.int64)
            sequences.append((offsets, draw.integers(0, FIRST + 5, offsets[-1]).astype(np.int32)))
        return tokens, floats, sequences

    def embedded(self, tokens, floats, sequences, absolute=False):
        """(B, F, width) float64: what each field's vector is, said once more."""
        table, floats = (np.abs(one) if absolute else one for one in (self.table.astype(np.float64), floats))
        found = np.zeros((len(tokens), len(self.sources), self.table.shape[1]))
        for f, (kind, start, column, width) in enumerate(self.sources):
            for row in range(len(tokens)):
                if kind == "ids":
                    found[row, f] = table[start + tokens[row, column]]
                elif kind == "numbers":
                    values = floats[row, column : column + width].astype(np.float64)
                    there = ~np.isnan(values)
                    vectors = table[start + FIRST : start + FIRST + width]
                    found[row, f] = values[there] @ vectors[there] if there.any() else table[start + MISSING]
                else:
                    offsets, ids = sequences[column]
                    found[row, f] = getattr(table[start + ids[offsets[row] : offsets[row + 1]]], kind)(axis=0)
        return found

    def expected(self, rows, absolute=False):
        """Logits, or summed states and first-order parts; ``absolute``: of absolute terms, as rounding is relative."""
        of = (lambda x: None if x is None else np.abs(x.astype(np.float64))) if absolute else (lambda x: x)
        x = self.embedded(*rows, absolute)
        first = x[:, :, self.size].sum(axis=1) if self.table.shape[1] > self.size else 0.0
        h0, fields = x[:, :, : self.size], len(self.sources)
        if self.connect != "none":
            mix = np.zeros((fields, fields))
            mix[
                np.tril_indices(fields) if self.connect == "causal" else np.indices((fields, fields)).reshape(2, -1)
            ] = 0
            if self.connect == "causal":
                mix[np.tril_indices(fields)] = of(self.c)
            else:
                mix[:] = of(self.c)
            h0 = np.einsum("sf,bfd->bsd", mix, h0)
        h, sums = h0, [h0.sum(axis=2)]
        for layer in range(self.depth):
            total = np.zeros_like(h0)
            for pair, (f, s) in enumerate(zip(*np.triu_indices(fields), strict=True)):
                p = of(self.p[layer, pair])
                if self.message == "inner":
                    total[:, s] += p * h[:, f]
                else:
                    total[:, s] += (h[:, f] @ p)[:, None] * of(self.q[layer, pair])
            h = h0 * total
            sums.append(h.sum(axis=2))
        states = np.concatenate(sums, axis=1)
        if not self.linear:
            return states, first
        return states @ of(self.head)[0].astype(np.float64) + of(self.bias) + first

    def check(self, rows, version=None, threads=1):
        found = self.build(version).score(*rows, threads=threads)
        expected, terms = self.expected(rows), self.expected(rows, absolute=True)
        if self.linear:
            assert found.shape == (len(rows[0]),)
            assert (np.abs(found - expected) <= 2e-6 * terms).all()
            return
        assert isinstance(found, Sums)
        assert (np.abs(found.states - expected[0]) <= 2e-6 * terms[0] + 1e-30).all()
        if self.table.shape[1] == self.size:
            assert found.first is None
        else:
            assert (np.abs(found.first - expected[1]) <= 2e-6 * terms[1]).all()
