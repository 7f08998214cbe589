"""What workers have in memory together: modules imported before the workers are forked, once for all."""

from __future__ import annotations

import gc
import importlib
import os

from dagfm.server.settings import MULTIPROCESS, ONE_THREAD

MODULES = (
    "filelock",
    "numpy",
    "prometheus_client.core",
    "prometheus_client.multiprocess",
    "pydantic.type_adapter",
    "safetensors.numpy",
    "starlette.routing",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
    "dagfm.schema",
    "dagfm.kernel.encoding",
    "dagfm.kernel.ranking",
    "dagfm.server.access",
    "dagfm.server.http",
    "dagfm.server.infer",
    "dagfm.server.loop",
    "dagfm.serving.explanation.strongest",
    "dagfm.serving.forward",
)
"""None may start a thread, which a fork does not survive; polars does, and so stays out with all that needs it."""


def import_shared(folder: str) -> None:
    """Import all of them, in the environment of a worker, whose figures go to ``folder``. Raises ImportError."""
    # NumPy and Prometheus's client look there when they are imported.
    os.environ.update({**ONE_THREAD, **os.environ, MULTIPROCESS: folder})
    for name in MODULES:
        importlib.import_module(name)
    # Looking through it for garbage would copy it for each worker.
    gc.collect()
    gc.freeze()
