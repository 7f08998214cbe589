"""CTR models as accurate as a heavy network and as cheap to serve as a factorization machine."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagfm import interop as interop
    from dagfm.config import Config as Config
    from dagfm.config import load_config as load_config
    from dagfm.errors import DagfmError as DagfmError
    from dagfm.errors import InputError as InputError
    from dagfm.run.distil import distil as distil
    from dagfm.run.fit import Run as Run
    from dagfm.run.fit import fit as fit
    from dagfm.serving.scorer import Scorer as Scorer
    from dagfm.serving.scorer import load as load

__version__ = "0.1.0"

_HOME = {
    "Config": "dagfm.config",
    "load_config": "dagfm.config",
    "DagfmError": "dagfm.errors",
    "InputError": "dagfm.errors",
    "Run": "dagfm.run.fit",
    "distil": "dagfm.run.distil",
    "fit": "dagfm.run.fit",
    "Scorer": "dagfm.serving.scorer",
    "load": "dagfm.serving.scorer",
}
__all__ = [
    "Config",
    "DagfmError",
    "InputError",
    "Run",
    "Scorer",
    "__version__",
    "distil",
    "fit",
    "interop",
    "load",
    "load_config",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: scoring must not import torch, the command line must not wait."""
    if name == "interop":
        return import_module("dagfm.interop")
    if name not in _HOME:
        raise AttributeError(f"module 'dagfm' has no attribute '{name}'")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value
