"""Explains a bundle's scores: raw rows to what their logits are the sum of, in the words of the schema."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import polars as pl

from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Rows
from dagfm.errors import InputError
from dagfm.metrics import Float64, sigmoid
from dagfm.serving.bundle import Bundle
from dagfm.serving.explanation.explanation import Explanation, Path
from dagfm.serving.explanation.graph import Graph, Parts
from dagfm.serving.explanation.readings import readings
from dagfm.serving.explanation.strongest import Search
from dagfm.serving.forward import embed
from dagfm.serving.quantised import Expanding

CHUNK = 128
"""Rows taken apart at a time: what one node of 39 sends stays in the caches."""

Encode = Callable[[Any, str, frozenset[str]], Rows]
Serve = Callable[[Rows], Float64]


class Explainer:
    """A bundle's table and network, ready to take logits apart; thread-safe."""

    def __init__(self, bundle: Bundle, encode: Encode, serve: Serve) -> None:
        """``encode`` takes raw rows and the names of columns that count as missing; ``serve`` gives encoded rows'
        calibrated logits.

        Raises InputError where the network's logit is no sum of products.
        """
        if bundle.network.get("hidden"):
            raise InputError(
                "explain needs a linear head: this student's has hidden layers (head: mlp), which mix what its paths "
                "come to, so that the logit is no sum over them; train one with 'head: linear', the default"
            )
        self._schema, self._spans, self._table = bundle.encoder.schema, bundle.encoder.spans, Expanding(bundle.table)
        self._first_order = bool(bundle.network.get("first_order", False))
        self._encode, self._serve = encode, serve
        self._graph = Graph(bundle.network, bundle.parameters, len(self._schema))
        self._empty, self._empty_first = self._embedded(
            encode([dict.fromkeys(self._schema.columns)], "an empty row", frozenset())
        )
        self._empty_logit = float(self._logits(self._graph.parts(self._empty, self._empty_first))[0])

    def explain(self, rows: Any, paths: int, origin: str) -> list[Explanation]:
        """See ``Scorer.explain``."""
        if not isinstance(paths, int) or isinstance(paths, bool) or paths < 0:
            raise InputError(f"paths is {paths!r}, expected a whole number, 0 or more")
        frame = to_frame(rows, origin)
        encoded = self._encode(frame, origin, frozenset())
        served = self._serve(encoded)
        missing = {
            one: sigmoid(self._serve(self._encode(frame, origin, frozenset({one})))) for one in self._schema.columns
        }
        found: list[Explanation] = []
        for start in range(0, len(encoded), CHUNK):
            part = slice(start, start + CHUNK)
            without = {column: probabilities[part] for column, probabilities in missing.items()}
            chunk = encoded.take(np.arange(len(encoded))[part])
            found += self._explained(frame[part], chunk, served[part], without, paths)
        return found

    def _explained(
        self, frame: pl.DataFrame, rows: Rows, served: Float64, missing: dict[str, Float64], paths: int
    ) -> Iterator[Explanation]:
        graph, names = self._graph, self._schema.names
        vectors, first = self._embedded(rows)
        parts, h0 = graph.parts(vectors, first), graph.first_states(vectors)
        logits, probabilities = self._logits(parts), sigmoid(served)
        from_empty = graph.fields_from(self._empty, vectors, self._empty_first, first)
        orders, nodes, fields, added = (one.T.tolist() for one in (parts.orders, parts.nodes, parts.fields, from_empty))
        for row, said in enumerate(readings(self._schema, frame, rows)):
            own = None if first is None else first[:, row]
            strongest = Search(graph, h0[:, row], own, paths).paths() if paths else []
            yield Explanation(
                probability=float(np.float32(probabilities[row])),
                served_logit=float(served[row]),
                logit=float(logits[row]),
                bias=graph.bias,
                by_order=orders[row],
                by_node=dict(zip(names, nodes[row], strict=True)),
                by_field=dict(zip(names, fields[row], strict=True)),
                empty_logit=self._empty_logit,
                from_empty=dict(zip(names, added[row], strict=True)),
                if_missing={column: float(np.float32(values[row])) for column, values in missing.items()},
                paths=[Path(tuple(names[node] for node in trail), value) for trail, value in strongest],
                values=said,
                edges=parts.edges[:, row].copy(),
            )

    def _embedded(self, rows: Rows) -> tuple[Float64, Float64 | None]:
        """Field vectors (F, B, D), and first-order weights (F, B) where there are any."""
        found = np.ascontiguousarray(embed(self._table, self._schema, self._spans, rows).swapaxes(0, 1), np.float64)
        return (found[:, :, :-1], found[:, :, -1]) if self._first_order else (found, None)

    def _logits(self, parts: Parts) -> Float64:
        logits: Float64 = self._graph.bias + parts.orders.sum(0)
        return logits
