"""The OpenAPI description of what is served, with the fields of each model."""

from __future__ import annotations

from typing import Any, get_args

from dagfm import __version__
from dagfm.schema import Field, Schema
from dagfm.server.datatypes import DATATYPES
from dagfm.server.examples import examples
from dagfm.server.infer import OUTPUT
from dagfm.server.models import Served
from dagfm.server.repository import Repository
from dagfm.server.scoring import PATHS
from dagfm.serving.explanation.explanation import Status
from dagfm.serving.ranking import columns_of

_SCALAR = {"type": ["string", "number", "boolean", "null"]}


def description(repository: Repository) -> dict[str, Any]:
    """OpenAPI 3.1 of every path, as the models are now."""
    paths: dict[str, Any] = {}
    for model in repository.models.values():
        for version in (None, *model.versions):
            served = model.latest if version is None else model.versions[version]
            if served is not None:
                paths |= _of_model(served, "" if version is None else f"/versions/{version}")
    for model in repository.models.values():
        paths[f"/v2/repository/models/{model.name}/load"] = _post("Load what lies at the model's place", {}, 400)
        paths[f"/v2/repository/models/{model.name}/unload"] = _post("Serve nothing under this name", {})
        paths[f"/v2/repository/models/{model.name}/patch"] = _post(
            "Patch the version that the patch in the body is for",
            {"type": "string", "format": "binary"}, 400, 403, 408, 409, 413, 415, 429, kind="application/octet-stream",
        )  # fmt: skip
    paths |= {
        "/v2": _get("Server metadata"),
        "/v2/health/live": _get("Whether the process answers"),
        "/v2/health/ready": _get("Whether it takes requests", 503),
        "/v2/repository/index": _post(
            "All models, their versions and why one is not served",
            {"type": "object", "properties": {"ready": {"type": "boolean"}}},
            400,
        ),
        "/metrics": _get("Figures for Prometheus", kind="text/plain"),
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "dagfm", "version": __version__, "description": "Click probabilities of raw rows."},
        "paths": paths,
        "components": {
            "schemas": {"Error": _object({"error": {"type": "string"}}, ["error"])},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _of_model(served: Served, version: str) -> dict[str, Any]:
    schema = served.scorer.schema
    v2, v1 = f"/v2/models/{served.model}{version}", f"/v1/models/{served.model}{version}"
    shown = examples(served)
    rows = {"type": "array", "items": _row(schema, schema.columns)}
    predict = _object({"rows": {"anyOf": [rows, _table(schema, schema.columns)]}}, ["rows"])
    tensor = _object(
        {
            "name": {"type": "string", "enum": list(schema.columns)},
            "shape": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 2},
            "datatype": {"type": "string", "enum": list(DATATYPES)},
            "data": {"type": "array", "items": {}},
            "parameters": {"type": "object"},
        },
        ["name", "shape", "datatype"],
    )
    wish = _object({"name": {"type": "string", "enum": [OUTPUT]}, "parameters": {"type": "object"}}, ["name"])
    infer = _object(
        {
            "id": {"type": "string"},
            "inputs": {"type": "array", "items": tensor},
            "outputs": {"type": "array", "items": wish},
            "parameters": {"type": "object"},
        },
        ["inputs"],
    )
    paths = {
        f"{v1}:predict": _post("Click probabilities of raw rows", predict, 400, 413, 429, shown=shown["predict"]),
    }
    if schema.has_sides:
        sides = {side: tuple(columns_of(schema, side)) for side in ("context", "candidate")}
        candidates = {"type": "array", "items": _row(schema, sides["candidate"])}
        ranked = _object(
            {
                "context": _row(schema, sides["context"]),
                "candidates": {"anyOf": [candidates, _table(schema, sides["candidate"])]},
                "top": {"type": "integer", "minimum": 0},
            },
            ["context", "candidates"],
        )
        paths[f"{v1}:rank"] = _post("The best candidates for a context", ranked, 400, 413, 429, shown=shown["rank"])
    return paths | {
        f"{v1}:explain": _explain(predict, shown["explain"]),
        f"{v1}/drift": _get("How far requests lie from the rows that the model was made on"),
        f"{v2}/infer": _post(
            "Scores of rows given as tensors (Open Inference Protocol v2)", infer, 400, 413, 429, shown=shown["infer"]
        ),
        v2: _get("Metadata: inputs, outputs, versions"),
        f"{v2}/ready": _get("Whether the model takes requests", 503),
    }


def _explain(predict: dict[str, Any], shown: tuple[Any, Any]) -> dict[str, Any]:
    """The operation that takes what ``predict`` takes, and how many paths, and answers with sums."""
    number = {"type": "number"}
    numbers = {"type": "object", "additionalProperties": number}
    # Not prefixItems, which would say it exactly: tools that know OpenAPI 3.0 make an error of it.
    triple = {**_several("string", "number", size=3), "description": "[from, to, value]"}
    path = {**_several("array", "number", size=2), "description": "[[node, ...], value]"}
    reading = _object({"value": {}, "status": {"type": "string", "enum": list(get_args(Status))}}, ["value", "status"])
    explanation = {
        **dict.fromkeys(("probability", "served_logit", "logit", "bias", "empty_logit"), number),
        "by_order": {"type": "array", "items": number},
        **dict.fromkeys(("by_node", "by_field", "from_empty", "if_missing"), numbers),
        "by_edge": {"type": "array", "items": triple},
        "paths": {"type": "array", "items": path},
        "values": {"type": "object", "additionalProperties": reading},
    }
    explanations = {"type": "array", "items": _object(explanation, list(explanation))}
    most = {"type": "integer", "minimum": 0, "maximum": PATHS, "default": 10}
    body = _object({**predict["properties"], "paths": most}, predict["required"])
    operation = _post("What each score is the sum of", body, 400, 413, 429, shown=shown)
    answer = operation["post"]["responses"]["200"]["content"]["application/json"]
    answer["schema"] = _object({"explanations": explanations}, ["explanations"])
    return operation


def _several(*types: str, size: int) -> dict[str, Any]:
    return {"type": "array", "items": {"type": list(types)}, "minItems": size, "maxItems": size}


def _row(schema: Schema, columns: tuple[str, ...]) -> dict[str, Any]:
    fields = {one.source: one for one in schema if one.cross is None}
    return _object({name: _cell(fields[name]) for name in columns}, list(columns))


def _table(schema: Schema, columns: tuple[str, ...]) -> dict[str, Any]:
    """The same rows as a list for each column, all equally long, which a description cannot say."""
    cells = _row(schema, columns)["properties"]
    return _object({name: {"type": "array", "items": cell} for name, cell in cells.items()}, list(columns))


def _cell(field: Field) -> dict[str, Any]:
    if field.type == "float":
        return {"type": ["number", "null"]}
    if field.type == "float_seq":
        size = {"minItems": field.width, "maxItems": field.width}
        return {"type": ["array", "null"], "items": {"type": ["number", "null"]}, **size}
    if field.type == "token_seq":
        lists = {"type": ["array", "null"], "items": {"type": "string"}}
        return lists if field.separator is None else {"anyOf": [lists, {"type": "string"}]}
    return dict(_SCALAR)


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required}


def _get(summary: str, *statuses: int, kind: str = "application/json") -> dict[str, Any]:
    return {"get": {"summary": summary, "responses": _responses(statuses, kind)}}


def _post(
    summary: str,
    body: dict[str, Any],
    *statuses: int,
    shown: tuple[Any, Any] = (None, None),
    kind: str = "application/json",
) -> dict[str, Any]:
    """``shown``: an example of the body and of its answer, None for none."""
    content: dict[str, Any] = {"schema": body}
    responses = _responses(statuses, "application/json")
    for place, example in zip((content, responses["200"]["content"]["application/json"]), shown, strict=True):
        if example is not None:
            place["example"] = example
    needed = bool(body.get("required"))
    request = {"required": needed, "content": {kind: content}}
    return {"post": {"summary": summary, "requestBody": request, "responses": responses}}


def _responses(statuses: tuple[int, ...], kind: str) -> dict[str, Any]:
    errors = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    told = {str(status): {"description": "Refused", "content": errors} for status in (401, 404, *statuses)}
    return {"200": {"description": "Done", "content": {kind: {}}}, **told}
