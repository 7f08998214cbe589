"""Fields that only teachers see: whether a configuration has some, and whether they can be left out of the others."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dagfm.errors import listed, suggestion
from dagfm.schema import Schema


def have_extra_fields(teacher: Any) -> bool:
    """Whether one of the teachers, as they were written, lists some."""
    members = teacher if isinstance(teacher, list | tuple) else [teacher]
    written = [one if isinstance(one, dict) else getattr(one, "__dict__", {}) for one in members]
    return any(one.get("extra_fields") or one.get("t_extra_fields") for one in written)


def check_extra_fields(schema: Schema, extra: frozenset[str], views: Iterable[tuple[str, frozenset[str]]]) -> None:
    """Raise ValueError for an ``extra`` field that is none, for a schema of nothing else, and for a field that is made
    of one which somebody does not see; ``views``: who, and the fields hidden from them."""
    names = schema.names
    for name in sorted(extra - {*names}):
        raise ValueError(
            f"teacher.extra_fields: '{name}' is no field; fields: {listed(names)}.{suggestion(name, names)}"
        )
    if extra == {*names}:
        raise ValueError("teacher.extra_fields: names every field; students would see none")
    for who, hidden in views:
        for field in schema:
            for member in hidden.intersection(() if field.name in hidden else field.made_of):
                raise ValueError(
                    f"teacher.extra_fields: field '{field.name}' is made of '{member}', which {who} not see; list both "
                    "as extra fields of that teacher, or neither"
                )
