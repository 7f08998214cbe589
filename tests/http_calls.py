"""What the tests of the server share: an application called without a network, and ``dagfm serve`` as a process."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROW: dict[str, Any] = {"user": "u1", "group": "x", "item": 3, "tags": "a|b", "price": 1.0, "position": [0.1, 0.2]}
"""A row of the small click log."""


@dataclass
class Reply:
    """An answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The text of an error, which must have the protocol's shape."""
        assert self.headers["content-type"] == "application/json"
        assert list(self.json) == ["error"]
        return str(self.json["error"])


@dataclass
class Client:
    """Calls an ASGI application in this thread."""

    app: Any
    headers: dict[str, str] = field(default_factory=dict)

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, b"", headers)

    def post(self, path: str, body: Any = b"", headers: Mapping[str, str] | None = None) -> Reply:
        """Post bytes as they are, anything else as JSON."""
        return self.call("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode(), headers or {})

    def call(
        self, method: str, path: str, body: bytes | Sequence[Any], headers: Mapping[str, str], *, hang_up: bool = False
    ) -> Reply:
        """``body`` may be several chunks, a number among them being seconds to wait."""
        return asyncio.run(self._call(method, path, body, headers, hang_up))

    async def _call(
        self, method: str, path: str, body: bytes | Sequence[Any], headers: Mapping[str, str], hang_up: bool
    ) -> Reply:
        chunks = [body] if isinstance(body, bytes) else list(body)
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            while chunks:
                chunk = chunks.pop(0)
                if isinstance(chunk, bytes):
                    return {"type": "http.request", "body": chunk, "more_body": bool(chunks) or hang_up}
                await asyncio.sleep(chunk)
            if hang_up:
                return {"type": "http.disconnect"}
            await asyncio.Event().wait()
            raise AssertionError

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        given = {"content-length": str(len(body))} if isinstance(body, bytes) and method == "POST" else {}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": b"",
            "headers": [
                (name.lower().encode(), value.encode("latin-1"))
                for name, value in {**given, **self.headers, **headers}.items()
            ],
            "client": ("127.0.0.1", 1),
        }
        await asyncio.wait_for(self.app(scope, receive, send), 60)
        if not sent:
            return Reply(0, {}, b"")
        start, *rest = sent
        found = {name.decode(): value.decode() for name, value in start["headers"]}
        whole = b"".join(message["body"] for message in rest)
        assert int(found["content-length"]) == len(whole)
        return Reply(start["status"], found, whole)


@dataclass
class Serving:
    """A running ``dagfm serve``."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def request(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            data = body if isinstance(body, bytes | None) else json.dumps(body)
            connection.request(method, path, data, dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def predict(self, rows: Any, model: str = "m") -> Reply:
        return self.request("POST", f"/v1/models/{model}:predict", {"rows": rows})

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return sorted(map(int, children))

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def serving(folder: Path, *words: str, redirect: str = "") -> Iterator[Serving]:
    """``dagfm serve`` with these words, once it answers; killed at the end where it still runs. ``redirect`` is what a
    shell may do to its streams: ``<&-`` closes stdin."""
    port = free_port()
    log = folder / "serve.log"
    with log.open("wb") as file:
        command = [sys.executable, "-m", "dagfm", "serve", *words, "--port", str(port)]
        if redirect:
            command = ["sh", "-c", f'exec "$@" {redirect}', "sh", *command]
        source = str(Path(__file__).parents[1] / "src")
        environment = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(command, stderr=file, stdout=file, env=environment, start_new_session=True)
    try:
        until(lambda: "serving " in log.read_text() or process.poll() is not None, log)
        yield Serving(process, port, log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(holds: Any, log: Path | None = None, seconds: float = 60) -> None:
    """Wait for something to hold."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, log.read_text()[-3000:] if log is not None else "it never came to hold"
        time.sleep(0.02)
