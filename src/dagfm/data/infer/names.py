"""What the words in a column's name suggest."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")


def words(name: str) -> list[str]:
    """The words of a name in their order, lower case: ``userId``, ``user_id`` and ``USER-ID`` are user and id."""
    return [word.lower() for word in _WORD.findall(name)]


def vocabulary(text: str) -> frozenset[str]:
    """A set of words from a text that names them."""
    return frozenset(text.split())
