"""Bridges to other libraries, imported when first used."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

_BRIDGES = ("recbole",)


def __getattr__(name: str) -> ModuleType:
    """``dagfm.interop.recbole`` works after ``import dagfm`` alone, and costs nothing until then."""
    if name not in _BRIDGES:
        raise AttributeError(f"module 'dagfm.interop' has no attribute '{name}'")
    return import_module(f"dagfm.interop.{name}")
