"""Which row of an older encoder's field means the same as each row of a newer one's."""

from __future__ import annotations

import numpy as np

from dagfm.encoding.crosses import Crosses, cross_keys, members_of
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Int64
from dagfm.schema import FIRST, Field

NOWHERE = -1
"""Of a row whose meaning the older encoder does not know."""


def older_rows(old: Encoder, new: Encoder, name: str) -> Int64:
    """(rows of the field in ``new``,) the row of the same field in ``old`` that means the same, or ``NOWHERE``.

    Tokens are found by their text, combinations by their members' texts; bins, cells and hashes mean the same only
    where all of them are equal. *unknown* and *missing* are always themselves.
    """
    field = new.schema.named(name)
    if field.form == "numbers":
        return np.arange(new.rows_of(name))
    if field.is_target:
        same = old.statistics[name].form == new.statistics[name].form
        return _all_or_none(new.rows_of(name), same)
    return _source_rows(old, new, field)


def _source_rows(old: Encoder, new: Encoder, field: Field) -> Int64:
    before = old.schema.named(field.name)
    if field.name in new.bins:
        return _all_or_none(new.source_rows(field), old.bins.get(field.name) == new.bins[field.name])
    if field.hash is not None or before.hash is not None:
        same = field.hash == before.hash and all(_is_itself(old, new, member) for member in field.cross or ())
        return _all_or_none(new.source_rows(field), same)
    if field.cross is not None:
        return _cross_rows(old, new, field, before)
    known = old.vocabulary_of(before).encode(new.vocabulary_of(field).tokens)
    return _with_first(known.astype(np.int64))


def _cross_rows(old: Encoder, new: Encoder, field: Field, before: Field) -> Int64:
    mine, theirs = new.crosses[field.name], old.crosses[field.name]
    assert isinstance(mine, Crosses) and isinstance(theirs, Crosses), "hashed ones were asked for above"
    members = [new.schema.named(member) for member in field.cross or ()]
    ids = members_of(mine.keys, [new.source_rows(member) for member in members])
    moved = [_source_rows(old, new, member)[one] for member, one in zip(members, ids, strict=True)]
    sizes = [old.source_rows(old.schema.named(member)) for member in before.cross or ()]
    lost = np.any([one < 0 for one in moved], axis=0)
    keys = cross_keys([np.maximum(one, 0) for one in moved], sizes)
    return _with_first(np.where(lost, 0, theirs.encode(keys)).astype(np.int64))


def _is_itself(old: Encoder, new: Encoder, name: str) -> bool:
    field, before = new.schema.named(name), old.schema.named(name)
    rows = _source_rows(old, new, field)
    return old.source_rows(before) == len(rows) and bool((rows == np.arange(len(rows))).all())


def _with_first(rows: Int64) -> Int64:
    """Rows of the known values, those that are *unknown* over there nowhere, after the two that are always there."""
    return np.concatenate([np.arange(FIRST), np.where(rows < FIRST, NOWHERE, rows)])


def _all_or_none(rows: int, same: bool) -> Int64:
    found = np.arange(rows)
    if not same:
        found[FIRST:] = NOWHERE
    return found
