"""The access log: one line of JSON for each request, on stderr, with the id that the client has too."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import sys
import time
from typing import Any

from dagfm.server.answers import to_json
from dagfm.server.call import Call

REQUEST_ID = b"x-request-id"

_ID = re.compile(rb"[A-Za-z0-9_.:/+=-]{1,128}")
_START = secrets.token_hex(6)
_count = 0


def request_id(given: bytes | None) -> str:
    """The client's own id where it sent one that a log line can hold, else a new one."""
    global _count  # noqa: PLW0603
    if given is not None and _ID.fullmatch(given):
        return given.decode()
    _count += 1
    return f"{_START}-{os.getpid()}-{_count}"


def write(call: Call, status: int, size: int, seconds: float, error: str | None) -> None:
    """Log a finished request: ``size`` bytes were sent after ``seconds``."""
    line: dict[str, Any] = {
        "time": round(time.time(), 3),
        "request_id": call.id,
        "client": call.client,
        "method": call.method,
        "path": call.path[:500],
        "status": status,
        "ms": round(1e3 * seconds, 3),
        "bytes_in": call.size + call.spooled,
        "bytes_out": size,
    }
    if call.model:
        line |= {"model": call.model, "version": call.version, "rows": call.rows}
    if error is not None:
        line["error"] = error[:200]
    # Where the log cannot be written, as its reader has ended or its disk is full, clients are answered all the same.
    with contextlib.suppress(OSError):
        # One write a line: those of several workers then do not mix.
        os.write(sys.stderr.fileno(), to_json(line) + b"\n")
