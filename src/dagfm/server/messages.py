"""The JSON that requests carry, and reading it with errors a client can use."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from dagfm.server.answers import RefusedError


class Tensor(Struct):
    """An input of an infer request; its elements are in ``data``, or behind the JSON where parameters say so."""

    name: str
    shape: list[int]
    datatype: str
    data: Raw | UnsetType = UNSET
    parameters: dict[str, Any] | None = None


class Wish(Struct):
    """An output that an infer request asks for."""

    name: str
    parameters: dict[str, Any] | None = None


class InferBody(Struct):
    """``POST /v2/models/NAME/infer``."""

    inputs: list[Tensor]
    id: str | None = None
    outputs: list[Wish] | None = None
    parameters: dict[str, Any] | None = None


class PredictBody(Struct):
    """``POST /v1/models/NAME:predict``: a list of rows, or of each column the list of its cells."""

    rows: list[dict[str, Any]] | dict[str, list[Any]]


class ExplainBody(Struct):
    """``POST /v1/models/NAME:explain``."""

    rows: list[dict[str, Any]] | dict[str, list[Any]]
    paths: int = 10


class RankBody(Struct):
    """``POST /v1/models/NAME:rank``."""

    context: dict[str, Any]
    candidates: list[dict[str, Any]] | dict[str, list[Any]]
    top: int | None = None


class IndexBody(Struct):
    """``POST /v2/repository/index``."""

    ready: bool | None = None


class _RowsApart(Struct):
    """A ``PredictBody`` with a list of rows, each as its text."""

    rows: list[Raw]


Body = TypeVar("Body", bound=Struct)

_DECODERS: dict[type[Struct], msgspec.json.Decoder[Any]] = {
    kind: msgspec.json.Decoder(kind) for kind in (InferBody, PredictBody, ExplainBody, RankBody, IndexBody)
}

_APART = msgspec.json.Decoder(_RowsApart)
_ROWS = msgspec.json.Decoder(list[dict[str, Any]])


def rows_apart(data: bytes) -> list[Raw] | None:
    """The rows of a predict request, not decoded yet; None for one that is not a list of rows, or nothing valid."""
    try:
        return _APART.decode(data).rows
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decoded(rows: list[Raw]) -> list[dict[str, Any]] | None:
    """Some of ``rows_apart``; None where one is no row."""
    try:
        return _ROWS.decode(b"[%b]" % b",".join(rows))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read(data: bytes | memoryview, kind: type[Body]) -> Body:
    """``data`` as a ``kind``; raises RefusedError (400) with the place in the JSON that is wrong."""
    try:
        body: Body = _DECODERS[kind].decode(data)
    except msgspec.ValidationError as error:
        raise RefusedError(400, f"the request's JSON is not as expected: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if not len(data):
            raise RefusedError(400, "the request has no body, expected JSON") from None
        # What Python's json module writes of a NaN, as of a table with holes.
        hint = "; JSON has no NaN: null is the missing value" if b"NaN" in bytes(data) else ""
        raise RefusedError(400, f"the request is not valid JSON: {error}{hint}") from None
    except RecursionError:
        raise RefusedError(400, "the request's JSON is nested too deeply") from None
    return body
