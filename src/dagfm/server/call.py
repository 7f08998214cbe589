"""A request as the handlers see it, free of any server's types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(slots=True)
class Call:
    """One request, and what its handler found out about it for the log and the metrics."""

    id: str
    method: str
    path: str
    client: str
    names: Mapping[str, str]
    """The parts of the path that name something: ``model``, ``version``."""
    headers: Mapping[bytes, bytes]
    """By name in small letters."""
    started: float
    """On the clock of ``time.perf_counter``."""
    body: bytes = b""
    size: int = 0
    """Bytes of the body as they arrived."""
    spooled: int = 0
    """Bytes of a body that went to a file."""
    model: str = ""
    version: str = ""
    rows: int = 0

    def header(self, name: bytes) -> str:
        """A header's value, or the empty string."""
        return self.headers.get(name, b"").decode("latin-1")
