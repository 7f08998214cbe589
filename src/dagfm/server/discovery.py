"""The handlers that tell what is served and in which state: health, metadata, index, metrics, pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagfm import __version__
from dagfm.server import openapi
from dagfm.server.answers import Answer, RefusedError, error, to_json
from dagfm.server.call import Call
from dagfm.server.columns import Column
from dagfm.server.drift import Drift
from dagfm.server.drift_told import told
from dagfm.server.infer import OUTPUT
from dagfm.server.lifecycle import Lifecycle
from dagfm.server.messages import IndexBody, read
from dagfm.server.metrics import CONTENT_TYPE, Metrics
from dagfm.server.models import Model
from dagfm.server.page import page
from dagfm.server.repository import Repository


class Discovery:
    """Answers at once, whatever is being scored."""

    def __init__(self, repository: Repository, metrics: Metrics, lifecycle: Lifecycle, drift: Drift) -> None:
        self._repository, self._metrics, self._lifecycle, self._drift = repository, metrics, lifecycle, drift

    def server(self, call: Call) -> Answer:
        """``GET /v2``."""
        extensions = ["binary_tensor_data", "model_repository"]
        return Answer(to_json({"name": "dagfm", "version": __version__, "extensions": extensions}))

    def live(self, call: Call) -> Answer:
        """``GET /v2/health/live``."""
        return Answer(to_json({"live": True}))

    def ready(self, call: Call) -> Answer:
        """``GET /v2/health/ready``: 503 while the server ends, so that nobody sends it anything new."""
        if self._lifecycle.draining:
            return error(503, "the server is about to end")
        return Answer(to_json({"ready": True}))

    def model(self, call: Call) -> Answer:
        """``GET /v2/models/NAME``."""
        served = self._repository.find(call.names["model"], call.names.get("version"))
        model = self._repository.models[served.model]
        return Answer(
            to_json(
                {
                    "name": served.model,
                    "versions": list(model.versions),
                    "platform": "dagfm",
                    "inputs": inputs(served.columns),
                    "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1]}],
                }
            )
        )

    def model_ready(self, call: Call) -> Answer:
        """``GET /v2/models/NAME/ready``."""
        served = self._repository.find(call.names["model"], call.names.get("version"))
        if self._lifecycle.draining:
            return error(503, "the server is about to end")
        return Answer(to_json({"name": served.model, "ready": True}))

    def index(self, call: Call) -> Answer:
        """``POST /v2/repository/index``."""
        asked = read(call.body, IndexBody) if call.body.strip() else IndexBody()
        lines = [line for model in self._repository.models.values() for line in _lines(model, self._repository)]
        if asked.ready:
            lines = [line for line in lines if line["state"] == "READY"]
        return Answer(to_json(lines))

    def drift(self, call: Call) -> Answer:
        """``GET /v1/models/NAME/drift``."""
        served = self._repository.find(call.names["model"], call.names.get("version"))
        call.model, call.version = served.model, served.version
        found = self._drift.of(served)
        if found is None:
            raise RefusedError(
                404, f"model '{served.model}' was made by an earlier dagfm, and does not say on which rows; fit again"
            )
        return Answer(to_json(told(served, found)))

    def metrics(self, call: Call) -> Answer:
        """``GET /metrics``."""
        return Answer(self._metrics.page(), 200, CONTENT_TYPE)

    def openapi(self, call: Call) -> Answer:
        """``GET /openapi.json``."""
        return Answer(to_json(openapi.description(self._repository)))

    def docs(self, call: Call) -> Answer:
        """``GET /docs`` and ``/``: the same for eyes."""
        base = f"http://{call.header(b'host')}{call.path.removesuffix('docs').rstrip('/')}"
        return Answer(page(openapi.description(self._repository), base), 200, b"text/html; charset=utf-8")


def inputs(columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """What an infer request of this model holds: its columns as tensors, as clients that ask first will send them."""
    return [
        {
            "name": name,
            "datatype": "FP32" if column.numbers else "BYTES",
            "shape": [-1, column.width or -1] if column.lists else [-1],
        }
        for name, column in columns.items()
    ]


def _lines(model: Model, repository: Repository) -> list[dict[str, str]]:
    lines = [
        {"name": model.name, "version": version, "state": "READY", "reason": ""}
        for version in model.versions
        if version not in model.failures
    ]
    for version, reason in model.failures.items():
        state = "READY" if version in model.versions else "UNAVAILABLE"
        lines.append({"name": model.name, "version": version, "state": state, "reason": reason})
    if not lines:
        why = "unloaded" if model.name in repository.unloaded else "not loaded"
        lines.append({"name": model.name, "version": "", "state": "UNAVAILABLE", "reason": why})
    return lines
