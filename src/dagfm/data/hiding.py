"""Ids that a training row does not show because no other row holds them: so *unknown* is learned, too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dagfm.data.dataset import Dataset, id_counts
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64, Rows
from dagfm.schema import FIRST, MISSING, UNKNOWN, Field, Schema

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Hiding:
    """By field of one id a row, which of its ids are held by a single training row.

    Were that row held out, its id would be unseen: it is what a training row can tell of unseen ids. Shown, the id's
    vector would learn this one row's label, and all else would learn to lean on it.
    """

    schema: Schema
    single: dict[str, Mask]
    """(rows of the field,); fields without such ids are not there."""

    @classmethod
    def of(cls, train: Dataset, encoder: Encoder) -> Hiding | None:
        """What the training rows ask for; None where other rows hold every id, too."""
        found = {}
        for field in encoder.schema.of_form("ids"):
            if not field.is_target:
                counts = id_counts(train.rows, encoder.schema, field.name, encoder.source_rows(field))
                counts[:FIRST] = 0
                if (counts == 1).any():
                    found[field.name] = counts == 1
        return cls(encoder.schema, found) if found else None

    def hide(self, rows: Rows, count: int) -> Rows:
        """The rows with such ids of the first ``count`` rows *unknown*.

        What is made of a hidden id is hidden with it: its crosses are unknown, its statistics and theirs missing.
        """
        tokens, floats = rows.tokens.copy(), rows.floats.copy()
        hidden = {
            name: single[rows.tokens[:count, self.schema.ids_column(name)]] for name, single in self.single.items()
        }
        for field in self.schema:
            found = [hidden[name] for name in _told_by(field) if name in hidden]
            if not found:
                continue
            gone = np.flatnonzero(np.any(found, axis=0))
            if field.form == "numbers":
                start = self.schema.numbers_column(field.name)
                floats[gone, start : start + field.width] = np.nan
            else:
                tokens[gone, self.schema.ids_column(field.name)] = MISSING if field.is_target else UNKNOWN
        return Rows(tokens, floats, rows.sequences)

    def seen(self, counts: Int64, encoder: Encoder) -> Int64:
        """``counts`` (table rows,) of the fields of ``encoder``, at least 1 for the rows that hiding trains."""
        trained = counts.copy()
        for node, field in enumerate(encoder.schema):
            if any(name in self.single for name in _told_by(field)):
                row = encoder.spans.slice_of(node).start + (MISSING if field.is_target else UNKNOWN)
                trained[row] = max(trained[row], 1)
        return trained


def _told_by(field: Field) -> tuple[str, ...]:
    """The fields whose ids tell what this one holds: itself, and what it is made of."""
    if field.form == "items":
        return ()
    return (field.name, *field.made_of) if field.cross is not None or field.is_target else (field.name,)
