"""Patches: what changed between two bundles, small enough to send to every server after each training."""

from dagfm.serving.patches.applying import apply
from dagfm.serving.patches.making import Patched, make

__all__ = ["Patched", "apply", "make"]
