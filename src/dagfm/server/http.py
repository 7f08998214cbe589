"""HTTP on a connection: uvicorn's protocol, with limits that it has not, JSON errors, and no upgrades."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from dagfm.server.answers import error
from dagfm.server.settings import Limits

_PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}
_UPGRADE = re.compile(rb"\r\nupgrade(?=[ \t]*:)", re.IGNORECASE)


def protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """The protocol for uvicorn's ``http`` setting."""

    class Limited(HttpToolsProtocol):
        """A connection whose heads arrive in time and are of bounded size, and whose answers are taken in time."""

        def __init__(self, *arguments: Any, **settings: Any) -> None:
            super().__init__(*arguments, **settings)
            self._in_head = True
            self._loose = 0
            """Bytes since the parser last found something whole, which it or a list of headers holds."""
            self._timer: asyncio.TimerHandle | None = None
            self._writing: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._expect_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            self.resume_writing()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._in_head:
                data = _without_upgrade(data)
            self._loose += len(data)
            super().data_received(data)
            if self._loose > limits.head and not self.transport.is_closing():
                self._refuse(431, f"the request's head, or what follows its body, is larger than {limits.head} bytes")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            if self._timer is None:
                self._expect_head()

        def on_header(self, name: bytes, value: bytes) -> None:
            if self._in_head:  # those behind a chunked body are none that anybody has checked
                super().on_header(name, value)

        def on_headers_complete(self) -> None:
            self._stop_timer()
            self._in_head, self._loose = False, 0
            super().on_headers_complete()

        def on_body(self, body: bytes) -> None:
            self._loose = 0
            super().on_body(body)

        def on_message_complete(self) -> None:
            self._in_head, self._loose = True, 0
            super().on_message_complete()

        def pause_writing(self) -> None:
            super().pause_writing()
            self._expect_progress(self.transport.get_write_buffer_size())

        def resume_writing(self) -> None:
            super().resume_writing()
            if self._writing is not None:
                self._writing.cancel()
                self._writing = None

        def send_400_response(self, msg: str) -> None:
            self._refuse(400, "the request is not valid HTTP")

        def _expect_head(self) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(limits.seconds, self._too_slow)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

        def _too_slow(self) -> None:
            if not self.transport.is_closing():
                self._refuse(408, f"the request's head did not arrive within {limits.seconds:g} seconds")

        def _expect_progress(self, left: int) -> None:
            """Give up a client that takes nothing of an answer, of which ``left`` bytes are held for it."""

            def look() -> None:
                now = self.transport.get_write_buffer_size()
                if now < left:
                    self._expect_progress(now)
                else:
                    self.transport.abort()

            self._writing = self.loop.call_later(limits.seconds, look)

        def _refuse(self, status: int, message: str) -> None:
            body = error(status, message).body
            head = (
                b"HTTP/1.1 %d %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
                % (status, _PHRASES[status], len(body))
            )
            self.transport.write(head + body)
            self.transport.close()

    return Limited


def _without_upgrade(head: bytes) -> bytes:
    """Rename ``Upgrade``, which a server may ignore (RFC 9110, 7.8), but the parser does not: it drops the body.

    Java's clients offer HTTP/2 so with every request. Heads are looked at as they arrive: in one piece, but for the
    oddest of clients.
    """
    end = head.find(b"\r\n\r\n")
    end = len(head) if end < 0 else end
    if _UPGRADE.search(head, 0, end) is None:
        return head
    return _UPGRADE.sub(b"\r\nx-upgrade", head[:end]) + head[end:]
