"""DAGFM without torch: from encoded rows to logits, in the compiled kernel or in NumPy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Float32, Rows
from dagfm.encoding.spans import Spans
from dagfm.errors import InputError
from dagfm.kernel.calls import Weights, available, forward, processor_threads
from dagfm.schema import FIRST, MISSING, Schema
from dagfm.serving.quantised import Expanding

Floats = NDArray[np.float32]


def embed(table: Floats | Expanding, schema: Schema, spans: Spans, rows: Rows) -> Floats:
    """Look up and pool: encoded rows (B) -> field embeddings (B, F, D).

    ``table`` (rows, D); ``spans`` says which rows are whose. The same sums and maxima as ``nn.Embedding``.
    """
    embedded = np.empty((len(rows), len(schema), table.shape[1]), np.float32)
    tokens, sequences, column = iter(range(rows.tokens.shape[1])), iter(rows.sequences), 0
    for node, field in enumerate(schema):
        start = spans.starts[node]
        if field.form == "ids":
            embedded[:, node] = table[start + rows.tokens[:, next(tokens)]]
        elif field.form == "items":
            sequence = next(sequences)
            if len(rows):
                # A sequence is never empty (it holds the missing row then), which reduceat relies on.
                pool = np.maximum if field.pooling == "max" else np.add
                embedded[:, node] = pool.reduceat(table[start + sequence.values], sequence.offsets[:-1], axis=0)
            if field.pooling == "mean":
                embedded[:, node] /= np.diff(sequence.offsets).astype(np.float32)[:, None]
        else:
            values = rows.floats[:, column : column + field.width]
            column += field.width
            vectors = table[start + FIRST : start + FIRST + field.width]
            missing = np.isnan(values).all(axis=1)
            embedded[:, node] = np.nan_to_num(values) @ vectors
            embedded[missing, node] = table[start + MISSING]
    return embedded


class Network:
    """A DAGFM ready to score (KD-DAGFM); for NumPy the packed triangle is unpacked once into batched matrices."""

    def __init__(
        self,
        config: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        fields: int,
        size: int,
        compiled: bool = True,
    ) -> None:
        """``arrays`` are the network's parameters under their own names, without a prefix; ``size`` is the width of the
        table: D, and one more with first-order weights. ``compiled``: in the kernel where there is one.

        Raises InputError naming a parameter that is missing or of another shape than ``config`` asks for.
        """
        self.type, self.depth, self.fields = config["type"], int(config["depth"]), fields
        self.first_order = bool(config.get("first_order", False))
        self.size = size = size - self.first_order
        _check_shapes(config, arrays, fields, size)
        self.hidden = [
            (np.asarray(arrays[f"{name}.weight"], np.float32).T, np.asarray(arrays[f"{name}.bias"], np.float32))
            for name in _hidden_names(config)
        ]
        if self.hidden:
            self.deep_weight = np.asarray(arrays["head.deep_weight"], np.float32)[0]
        self.head = np.asarray(arrays["head.weight"], np.float64).reshape(self.depth + 1, fields)
        self.bias = float(arrays["head.bias"].reshape(-1)[0])
        in_kernel = compiled and available(self.type)
        self.compiled = _compiled(config, arrays, fields, bool(self.hidden)) if in_kernel else None
        if self.compiled is not None:
            return
        sources, targets = np.triu_indices(fields)
        self.connect = connect_matrix(config, arrays, fields)

        def dense(packed: NDArray[Any]) -> Floats:
            full = np.zeros((self.depth, fields, fields, *packed.shape[2:]), np.float32)
            full[:, sources, targets] = packed
            return full

        if self.type == "inner":
            self.p = np.ascontiguousarray(dense(arrays["p"]).transpose(0, 3, 1, 2))  # (L, D, F, S)
        elif self.type == "outer":
            self.p = np.ascontiguousarray(dense(arrays["p"]).transpose(0, 1, 3, 2))  # (L, F, D, S)
            self.q = np.ascontiguousarray(dense(arrays["q"]).transpose(0, 2, 1, 3))  # (L, S, F, D)
        else:
            self.w = dense(arrays["w"])  # (L, F, S, D, D)

    def logits(self, embedded: Floats) -> Float32:
        """Field embeddings (B, F, D), (B, F, D + 1) with first-order weights -> logits (B,)."""
        if self.compiled is not None:
            return self._in_kernel(self.compiled, embedded)
        vectors = np.ascontiguousarray(embedded[:, :, : self.size])
        h0 = vectors if self.connect is None else np.matmul(self.connect, vectors)
        state = h0
        sums = [h0.sum(axis=2, dtype=np.float64)]
        total = sums[0] @ self.head[0] + self.bias
        for layer in range(self.depth):
            state = h0 * self._aggregate(layer, state)
            sums.append(state.sum(axis=2, dtype=np.float64))
            total += sums[-1] @ self.head[layer + 1]
        if self.hidden:
            total += self._deep(np.concatenate(sums, axis=1).astype(np.float32))
        if self.first_order:
            total += embedded[:, :, self.size].sum(axis=1, dtype=np.float64)
        logits: Float32 = total.astype(np.float32)
        return logits

    def _in_kernel(self, weights: Weights, embedded: Floats) -> Float32:
        found = forward(weights, embedded[:, :, : self.size], processor_threads())
        first = embedded[:, :, self.size].sum(axis=1) if self.first_order else None
        if self.hidden:
            return self.finished(found, first)
        return found if first is None else found + first

    def finished(self, states: Floats, first: Floats | None) -> Float32:
        """Logits (B,) of a head with hidden layers, of summed states (B, F·(L+1)) and the first-order part (B,)."""
        logits: Float32 = (states @ self.head.reshape(-1) + self.bias + self._deep(states)).astype(np.float32)
        return logits if first is None else logits + first

    def _deep(self, x: Floats) -> Floats:
        """What the hidden layers add: summed states (B, F·(L+1)) -> (B,)."""
        for weight, bias in self.hidden:
            x = np.maximum(x @ weight + bias, 0)
        added: Floats = x @ self.deep_weight
        return added

    def _aggregate(self, layer: int, state: Floats) -> Floats:
        """A_s = sum over f <= s of M_{f,s}(H_f): (B, F, D) -> (B, F, D)."""
        if self.type == "inner":
            aggregate: Floats = np.matmul(state.transpose(2, 0, 1), self.p[layer])  # (D, B, S)
            return aggregate.transpose(1, 2, 0)
        if self.type == "outer":
            terms = np.matmul(state.transpose(1, 0, 2), self.p[layer])  # (F, B, S)
            aggregate = np.matmul(terms.transpose(2, 1, 0), self.q[layer])  # (S, B, D)
            return aggregate.transpose(1, 0, 2)
        messages: Floats = np.einsum("bfe,fsde->bsd", state, self.w[layer], optimize=True)
        return messages


def connect_matrix(config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], fields: int) -> Floats | None:
    """C (F, F) of ``H0 = C E``, zero above the diagonal where it is causal; None where H0 is E itself."""
    if config["connect"] == "none":
        return None
    if config["connect"] == "full":
        return np.asarray(arrays["connect_layer"], np.float32)
    connect = np.zeros((fields, fields), np.float32)
    connect[np.tril_indices(fields)] = arrays["connect_layer"]
    return connect


def _compiled(config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], fields: int, deep: bool) -> Weights:
    """The parameters as the kernel takes them; of a head with hidden layers it leaves the summed states to NumPy."""

    def array(name: str) -> Floats | None:
        return np.ascontiguousarray(arrays[name], np.float32) if name in arrays else None

    c = None if config["connect"] == "none" else array("connect_layer")
    head = () if deep else (array("head.weight"), array("head.bias"))
    p = np.ascontiguousarray(arrays["p"], np.float32)
    return Weights(config["type"], config["connect"], p, fields, array("q"), c, *head)


def _hidden_names(config: Mapping[str, Any]) -> list[str]:
    """The hidden layers of the head, as their parameters are called; a bundle of a linear head names none."""
    return [f"head.deep.layers.{index}" for index in range(len(config.get("hidden", ())))]


def _check_shapes(config: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], fields: int, size: int) -> None:
    depth, pairs = int(config["depth"]), fields * (fields + 1) // 2
    expected: dict[str, tuple[int, ...]] = {"head.weight": (1, fields * (depth + 1)), "head.bias": (1,)}
    for name in {"inner": "p", "outer": "pq", "kernel": "w"}[config["type"]]:
        expected[name] = (depth, pairs, size, size) if name == "w" else (depth, pairs, size)
    if config["connect"] != "none":
        expected["connect_layer"] = (fields, fields) if config["connect"] == "full" else (pairs,)
    width = fields * (depth + 1)
    for name, units in zip(_hidden_names(config), config.get("hidden", ()), strict=True):
        expected |= {f"{name}.weight": (units, width), f"{name}.bias": (units,)}
        width = units
    if config.get("hidden"):
        expected["head.deep_weight"] = (1, width)
    for name, shape in expected.items():
        found = arrays[name].shape if name in arrays else "nothing"
        if found != shape:
            raise InputError(f"the bundle's weights: network.{name} has shape {found}, expected {shape}")
