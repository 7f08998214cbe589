"""What a network sees of the prepared rows: all fields, or those without the extra fields of other teachers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from dagfm.data.dataset import Prepared, id_counts
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64, Rows
from dagfm.encoding.selection import Selection, encoder_without, table_rows
from dagfm.nn.batch import Layout
from dagfm.schema import Schema


@dataclass(frozen=True, eq=False)
class View:
    """Some fields of prepared rows. The rows themselves stay whole; a network picks its columns out of each batch."""

    encoder: Encoder
    counts: Int64
    """(table rows,) how often each occurs in the training rows."""
    layout: Layout
    selection: Selection | None = None
    """Of the fields in the prepared rows; None where it is all of them."""

    @classmethod
    def of(cls, prepared: Prepared, hidden: Collection[str]) -> View:
        """All fields but the ``hidden`` ones."""
        whole = prepared.encoder
        if not hidden:
            return cls(whole, prepared.counts, Layout(whole.schema, whole.spans))
        encoder = encoder_without(whole, hidden)
        selection = Selection.between(whole.schema, encoder.schema)
        layout = Layout(encoder.schema, encoder.spans, selection)
        return cls(encoder, _counts(prepared, encoder, hidden), layout, selection)

    @property
    def schema(self) -> Schema:
        """The fields."""
        return self.encoder.schema

    def pick(self, rows: Rows) -> Rows:
        """Whole rows with the columns of these fields alone."""
        return rows if self.selection is None else self.selection.of(rows)


def _counts(prepared: Prepared, part: Encoder, hidden: Collection[str]) -> Int64:
    """The prepared counts of the table rows of ``part``; counted again where a hidden field shares the rows."""
    whole = prepared.encoder
    counts = prepared.counts[table_rows(whole, part)]
    for owner in {whole.schema.named(name).vocabulary for name in hidden} & set(part.schema.names):
        assert owner is not None, "a name"
        span = part.spans.slice_of(part.schema.names.index(owner))
        counts[span] = sum(
            id_counts(prepared.train.rows, whole.schema, field.name, span.stop - span.start)
            for field in part.schema
            if owner in (field.name, field.vocabulary)
        )
    return counts
