"""The ASGI application: which path is answered by whom."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.routing import Route, Router
from starlette.types import ASGIApp

from dagfm.errors import InputError
from dagfm.server.answers import Answer, RefusedError, to_json
from dagfm.server.body import Receive
from dagfm.server.call import Call
from dagfm.server.changes import Changes, Control
from dagfm.server.discovery import Discovery
from dagfm.server.drift import Drift
from dagfm.server.drift_told import DriftFigures
from dagfm.server.endpoint import Desk, Endpoint
from dagfm.server.lifecycle import Lifecycle
from dagfm.server.metrics import Metrics
from dagfm.server.patches import Patches
from dagfm.server.repository import Repository
from dagfm.server.scoring import Scoring
from dagfm.server.settings import MULTIPROCESS, Limits, Settings
from dagfm.server.sources import parse_models

_MODEL = "/v2/models/{model}"
_VERSION = _MODEL + "/versions/{version}"
_PLAIN = "/v1/models/{model}"
_PLAIN_VERSION = _PLAIN + "/versions/{version}"


def application(
    models: Mapping[str, str | Path],
    *,
    token: str | None = None,
    limits: Limits | None = None,
    access_log: bool = False,
    patches: bool = False,
) -> ASGIApp:
    """An application over bundles, runs or folders of versions, to mount in a service of your own.

    Loads them before it returns; raises InputError when one cannot be. Clients may load again and unload, and send
    patches where ``patches`` says so; nothing is watched. Give it a process with one event loop.
    """
    sources = parse_models(f"{name}={path}" for name, path in models.items())
    settings = Settings(sources, limits or Limits(), token, access_log, patches=patches)
    repository, metrics = Repository(settings), Metrics()
    changes = Changes(repository, metrics)
    for name in sources:
        report = changes.start(name, {})
        if report.failures and not report.versions:
            raise InputError(f"model {name}: not loaded: {next(iter(report.failures.values()))}")
        changes.commit(name)
    return build(settings, repository, metrics, changes, Lifecycle())


def build(
    settings: Settings, repository: Repository, metrics: Metrics, control: Control, lifecycle: Lifecycle
) -> ASGIApp:
    """The application over what is loaded already."""
    desk = Desk(settings, metrics, lifecycle)
    shared = os.environ.get(MULTIPROCESS)
    drift = Drift(None if shared is None else Path(shared))
    metrics.add(DriftFigures(repository, drift))
    scoring = Scoring(repository, metrics, settings.limits, drift)
    patches = Patches(settings, repository, metrics, control)
    discovery = Discovery(repository, metrics, lifecycle, drift)

    async def load(call: Call) -> Answer:
        name = _known(call, repository)
        report = await control.change("load", name)
        if report.failures:
            raise RefusedError(400, "; ".join(f"version '{key}': {why}" for key, why in report.failures.items()))
        return Answer(to_json({"name": name, "versions": report.versions, "loaded": report.fresh}))

    async def unload(call: Call) -> Answer:
        name = _known(call, repository)
        await control.change("unload", name)
        return Answer(to_json({"name": name}))

    async def patch(call: Call, receive: Receive) -> Answer:
        return await patches.patch(call, _known(call, repository), receive)

    def route(path: str, method: str, kind: str, handler: Any, how: str, *, guarded: bool = True) -> Route:
        # The endpoint itself refuses other methods: with an id, in JSON, and in the log as everything else.
        return Route(path, Endpoint(desk, kind, handler, how=how, method=method, guarded=guarded))

    routes = [
        *(route(f"{model}/infer", "POST", "infer", scoring.infer, "large") for model in (_MODEL, _VERSION)),
        *(
            route(f"{model}:{kind}", "POST", kind, getattr(scoring, kind), "large")
            for kind in ("predict", "rank")
            for model in (_PLAIN, _PLAIN_VERSION)
        ),
        *(route(f"{model}:explain", "POST", "explain", scoring.explain, "slow") for model in (_PLAIN, _PLAIN_VERSION)),
        *(route(f"{model}/drift", "GET", "drift", discovery.drift, "aside") for model in (_PLAIN, _PLAIN_VERSION)),
        route("/v2/health/live", "GET", "live", discovery.live, "instant", guarded=False),
        route("/v2/health/ready", "GET", "ready", discovery.ready, "instant", guarded=False),
        *(
            route(f"{model}/ready", "GET", "model_ready", discovery.model_ready, "instant", guarded=False)
            for model in (_MODEL, _VERSION)
        ),
        route("/v2", "GET", "server", discovery.server, "instant"),
        *(route(model, "GET", "model", discovery.model, "instant") for model in (_MODEL, _VERSION)),
        route("/v2/repository/index", "POST", "index", discovery.index, "instant"),
        route("/v2/repository/models/{model}/load", "POST", "load", load, "awaited"),
        route("/v2/repository/models/{model}/unload", "POST", "unload", unload, "awaited"),
        route("/v2/repository/models/{model}/patch", "POST", "patch", patch, "streamed"),
        route("/metrics", "GET", "metrics", discovery.metrics, "aside"),
        route("/openapi.json", "GET", "openapi", discovery.openapi, "aside"),
        *(route(path, "GET", "docs", discovery.docs, "aside") for path in ("/docs", "/")),
    ]
    nowhere = Endpoint(desk, "unknown", _unknown_path, how="instant", method=None)
    return Router(routes, redirect_slashes=False, default=nowhere)


def _unknown_path(call: Call) -> Answer:
    raise RefusedError(404, f"no such path: {call.path}; /docs lists them")


def _known(call: Call, repository: Repository) -> str:
    name = call.names["model"]
    if name not in repository.models:
        raise RefusedError(404, f"model '{name}' is unknown; only models named at the start can be loaded")
    return name
