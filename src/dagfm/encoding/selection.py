"""Some of an encoder's fields: an encoder of these alone, their columns in encoded rows, their rows in the table."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64, Rows
from dagfm.schema import Schema


def encoder_without(encoder: Encoder, hidden: Collection[str]) -> Encoder:
    """The encoder of all fields but the ``hidden`` ones, of which no other is made."""
    schema = encoder.schema.without(hidden)
    learned = ("vocabularies", "scales", "bins", "crosses", "statistics")
    kept = {key: {name: one for name, one in getattr(encoder, key).items() if name not in hidden} for key in learned}
    return replace(encoder, schema=schema, **kept)


def table_rows(whole: Encoder, part: Encoder) -> Int64:
    """(table rows of ``part``,) ascending: where each lies in the table of ``whole``, which has all of its fields."""
    rows = np.empty(part.spans.total, np.int64)
    for node in part.spans.own:
        span = whole.spans.slice_of(whole.schema.names.index(part.schema.names[node]))
        rows[part.spans.slice_of(node)] = np.arange(span.start, span.stop)
    return rows


@dataclass(frozen=True, eq=False)
class Selection:
    """The columns of some fields in the encoded rows of a larger schema."""

    tokens: Int64
    floats: Int64
    sequences: tuple[int, ...]

    @classmethod
    def between(cls, whole: Schema, part: Schema) -> Selection:
        """Where the fields of ``part`` stand in the rows of ``whole``."""
        items = [field.name for field in whole.of_form("items")]
        floats = [
            whole.numbers_column(field.name) + index
            for field in part.of_form("numbers")
            for index in range(field.width)
        ]
        return cls(
            np.array([whole.ids_column(field.name) for field in part.of_form("ids")], np.int64),
            np.array(floats, np.int64),
            tuple(items.index(field.name) for field in part.of_form("items")),
        )

    def of(self, rows: Rows) -> Rows:
        """The rows with these columns alone, copied."""
        return Rows(
            rows.tokens[:, self.tokens],
            rows.floats[:, self.floats],
            tuple(rows.sequences[index] for index in self.sequences),
        )
