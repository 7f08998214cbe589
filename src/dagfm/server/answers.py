"""What goes back to the client: an answer, or a refusal with its status."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

JSON = b"application/json"
LONGEST = 1000
"""Characters of an error's text: it may quote a cell, and a cell may be of any length."""

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class Answer:
    """A response, free of any server's types."""

    body: bytes
    status: int = 200
    content_type: bytes = JSON
    headers: Headers = field(default_factory=list)


class RefusedError(Exception):
    """The request cannot be served, and why, in words that are for the client."""

    def __init__(self, status: int, message: str, *, close: bool = False, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.close = close
        """Whether the connection ends with it, because the rest of the request is not worth reading."""
        self.headers = headers or []


def to_json(value: Any) -> bytes:
    """``value`` as JSON; knows NumPy scalars and arrays besides what msgspec knows."""
    return _ENCODER.encode(value)


def error(status: int, message: str, headers: Headers | None = None) -> Answer:
    """The shape that every status but 200 has, which the protocol's clients rely on: ``{"error": "text"}``."""
    text = message if len(message) <= LONGEST else f"{message[:LONGEST]}..."
    return Answer(to_json({"error": text}), status, JSON, list(headers or ()))


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise NotImplementedError(f"{type(value).__name__} has no JSON form")


_ENCODER = msgspec.json.Encoder(enc_hook=_plain)
