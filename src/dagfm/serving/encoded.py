"""Encoded rows to logits: in one call of the compiled kernel, or in NumPy, a table of embeddings at a time."""

from __future__ import annotations

from dagfm.encoding.rows import Float32, Rows
from dagfm.encoding.spans import Spans
from dagfm.kernel.ranking import Ranker
from dagfm.kernel.scoring import Compiled, Source, Sums, Table
from dagfm.schema import Schema
from dagfm.serving.forward import Network, embed
from dagfm.serving.quantised import expanded


class EncodedScorer:
    """A table and a network; thread-safe."""

    def __init__(self, network: Network, table: Table, schema: Schema, spans: Spans) -> None:
        """``spans`` says which rows of the table are whose; the kernel reads any table as it is, NumPy as float32."""
        self._network, self._table, self._schema, self._spans = network, table, schema, spans
        self._compiled, self._expanded = None, None
        if network.compiled is not None:
            self._compiled = Compiled(network.compiled, table, sources(schema, spans))
        else:
            self._expanded = expanded(table)

    def logits(self, rows: Rows) -> Float32:
        """Logits (B,) of B encoded rows. Raises IndexError where an id is no row of the table."""
        if self._compiled is None:
            assert self._expanded is not None
            return self._network.logits(embed(self._expanded, self._schema, self._spans, rows))
        sequences = [(one.offsets, one.values) for one in rows.sequences]
        found = self._compiled.score(rows.tokens, rows.floats, sequences)
        return self._network.finished(found.states, found.first) if isinstance(found, Sums) else found

    def ranker(self) -> Ranker:
        """The same for candidates that share a context, of a network that can keep it."""
        assert self._network.compiled is not None, "callers ask whether the kernel is available"
        return Ranker(
            self._network.compiled, self._table, sources(self._schema, self._spans), self._schema.context_size
        )


def sources(schema: Schema, spans: Spans) -> list[Source]:
    """Where every field's vector comes from, in node order."""
    found, tokens, sequences, floats = [], 0, 0, 0
    for one, start in zip(schema, spans.starts.tolist(), strict=True):
        if one.form == "ids":
            found.append(Source("ids", start, tokens))
            tokens += 1
        elif one.form == "items":
            found.append(Source(one.pooling, start, sequences))
            sequences += 1
        else:
            found.append(Source("numbers", start, floats, one.width))
            floats += one.width
    return found
