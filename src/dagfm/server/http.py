"""HTTP on a connection: uvicorn's protocol, with limits on a request's head, which it has none of, and JSON errors."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dagfm.server.answers import error
from dagfm.server.settings import Limits

_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol for uvicorn's ``http`` setting."""

    class Limited(HttpToolsProtocol):
        """A connection whose heads arrive in time and are of bounded size."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._head = 0
            self._in_head = True
            self._timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                # What the parser holds back of a head that is not complete counts too.
                self._head += len(data)
            super().data_received(data)
            if self._in_head and self._head > limits.head and not self.transport.is_closing():
                self._refuse(431, f"the request's head is larger than {limits.head} bytes")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if not self._in_head:
                self._head = 0
                self._expect_head()

        def on_headers_complete(self) -> None:
            self._stop_timer()
            self._in_head = False
            super().on_headers_complete()

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "the request is not valid HTTP")

        def _expect_head(self) -> None:
            self._in_head = True
            self._stop_timer()
            self._timer = self.loop.call_later(limits.seconds, self._too_slow)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            if not self.transport.is_closing():
                self._refuse(408, f"the request's head did not arrive within {limits.seconds:g} seconds")

        def _refuse(self, status: int, message: str) -> None:
            body = error(status, message).body
            head = (
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                % (status, _PHRASES[status], len(body))
            )
            self.transport.write(head + body)
            self.transport.close()

    return Limited
