"""A patched bundle on its way from where it was made to being served: what of it travels between processes."""

from __future__ import annotations

from msgspec import Struct


class Staged(Struct, frozen=True):
    """A bundle that a patch led to, whole and checked, which nobody serves yet."""

    version: str
    """Which of the model's versions it is the next of."""
    base: str
    """That version's fingerprint."""
    mark: str
    """Its own fingerprint."""
    folder: str
    """Where it lies, within the folder of the server; who loads it first makes it one of them."""
    fresh: str | None = None
    """Another copy, beside the bundle in whose place it goes once it is served; None where that cannot be."""
    target: str | None = None
    """That bundle."""
