"""Infer requests of the Open Inference Protocol v2: bytes to columns of raw rows, and scores to bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET

from dagfm.encoding.rows import Float32
from dagfm.errors import listed, suggestion
from dagfm.server.answers import Answer, RefusedError, to_json
from dagfm.server.columns import Column
from dagfm.server.datatypes import DATATYPES, Elements, from_bytes, from_json
from dagfm.server.messages import InferBody, Tensor, Wish, read

HEADER = b"inference-header-content-length"
OUTPUT = "score"

_WIDEST = 1 << 31
"""Values a row, of which a tensor without rows may claim any number: more is beyond what arrays can be."""


@dataclass(frozen=True)
class Request:
    """What an infer request asks: the columns of its rows, and how it wants the answer."""

    id: str | None
    columns: Mapping[str, Any]
    rows: int
    binary: bool
    """Whether the scores travel as bytes."""


def parse(body: bytes, header: bytes | None, expected: Mapping[str, Column], most: int) -> Request:
    """Read a request; ``header`` is the value of Inference-Header-Content-Length where it was sent.

    Raises RefusedError: 413 for more than ``most`` rows, 400 naming the tensor for everything else that is wrong.
    """
    view = memoryview(body)
    length = len(body) if header is None else _length(header, len(body))
    asked = read(view[:length], InferBody)
    rest = view[length:]
    columns: dict[str, Any] = {}
    rows: int | None = None
    for tensor in asked.inputs:
        if tensor.name not in expected:
            near = suggestion(tensor.name, expected)
            raise RefusedError(400, f"unexpected input '{tensor.name}'; expected: {listed(expected)}.{near}")
        if tensor.name in columns:
            raise RefusedError(400, f"input '{tensor.name}' is given twice")
        count = _count(tensor)
        if tensor.shape[0] > most:
            raise RefusedError(
                413, f"input '{tensor.name}' holds {tensor.shape[0]} rows, at most {most} are taken at once"
            )
        elements, rest = _elements(tensor, count, rest)
        columns[tensor.name] = _cells(elements, tensor, expected[tensor.name])
        if rows is not None and tensor.shape[0] != rows:
            raise RefusedError(400, f"input '{tensor.name}' holds {tensor.shape[0]} rows, those before it {rows}")
        rows = tensor.shape[0]
    if len(rest):
        raise RefusedError(400, f"{len(rest)} bytes follow that belong to no input")
    missing = [name for name in expected if name not in columns]
    if missing:
        raise RefusedError(400, f"input '{missing[0]}' is missing; expected: {listed(expected)}")
    return Request(asked.id, columns, rows or 0, _binary(asked.outputs, asked.parameters))


def answer(request: Request, model: str, version: str, scores: Float32) -> Answer:
    """The response: ``scores`` (n,) as the tensor ``score``, in JSON or behind it."""
    output: dict[str, Any] = {"name": OUTPUT, "datatype": "FP32", "shape": [len(scores)]}
    envelope: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        envelope["id"] = request.id
    if not request.binary:
        output["data"] = scores
        return Answer(to_json({**envelope, "outputs": [output]}))
    data = np.ascontiguousarray(scores, "<f4").tobytes()
    output["parameters"] = {"binary_data_size": len(data)}
    head = to_json({**envelope, "outputs": [output]})
    return Answer(head + data, 200, b"application/octet-stream", [(HEADER, str(len(head)).encode())])


def _length(header: bytes, whole: int) -> int:
    """The bytes of JSON before the tensors."""
    if not header.isdigit() or len(header) > 19 or int(header) > whole:
        raise RefusedError(
            400, f"Inference-Header-Content-Length is '{header.decode('latin-1')[:40]}', expected 0 to {whole}"
        )
    return int(header)


def _count(tensor: Tensor) -> int:
    if tensor.datatype not in DATATYPES:
        raise RefusedError(400, f"input '{tensor.name}': datatype '{tensor.datatype}', valid: {listed(DATATYPES)}")
    if len(tensor.shape) not in (1, 2) or min(tensor.shape) < 0 or max(tensor.shape[1:], default=0) > _WIDEST:
        raise RefusedError(
            400, f"input '{tensor.name}': shape {tensor.shape[:8]}, expected [rows] or [rows, values a row]"
        )
    return math.prod(tensor.shape)


def _elements(tensor: Tensor, count: int, rest: memoryview) -> tuple[Elements, memoryview]:
    """A tensor's elements, and the bytes that belong to those after it."""
    parameters = tensor.parameters or {}
    if "shared_memory_region" in parameters:
        raise RefusedError(400, f"input '{tensor.name}': shared memory is not supported")
    size = parameters.get("binary_data_size")
    if size is None:
        if tensor.data is UNSET:
            raise RefusedError(400, f"input '{tensor.name}' has neither 'data' nor 'binary_data_size'")
        return from_json(bytes(tensor.data), tensor.datatype, count, tensor.name), rest
    if type(size) is not int or not 0 <= size <= len(rest):
        raise RefusedError(
            400, f"input '{tensor.name}': binary_data_size is {str(size)[:40]}, but {len(rest)} bytes follow"
        )
    if (count > size and tensor.datatype != "BYTES") or (tensor.datatype == "BYTES" and 4 * count > size):
        raise RefusedError(400, f"input '{tensor.name}': {size} bytes cannot hold the {count} elements of its shape")
    return from_bytes(rest[:size], tensor.datatype, count, tensor.name), rest[size:]


def _cells(elements: Elements, tensor: Tensor, column: Column) -> Any:
    """One cell a row: shape [n, 1] is a value a row, unless the column's field takes lists and text would be cut."""
    width = tensor.shape[1] if len(tensor.shape) == 2 else 1
    if len(tensor.shape) == 1 or (width == 1 and not column.lists):
        return elements
    if isinstance(elements, list):
        return [elements[row * width : (row + 1) * width] for row in range(tensor.shape[0])]
    return elements.reshape(tensor.shape).tolist()


def _binary(outputs: list[Wish] | None, parameters: Mapping[str, Any] | None) -> bool:
    """An output that says it wins; without one, all outputs are as the request says; JSON where nobody says."""
    for wish in outputs or ():
        if wish.name != OUTPUT:
            raise RefusedError(400, f"unexpected output '{wish.name}'; expected: {OUTPUT}")
        if (wanted := (wish.parameters or {}).get("binary_data")) is not None:
            return wanted is True
    return (parameters or {}).get("binary_data_output") is True
