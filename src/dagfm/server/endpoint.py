"""From an ASGI request to a handler and back: id, token, body, errors, log and figures, the same for every route."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dagfm.errors import DagfmError
from dagfm.server import access, credentials
from dagfm.server.answers import Answer, RefusedError, error
from dagfm.server.body import ClientGoneError, Pending, Receive, read_body
from dagfm.server.call import Call
from dagfm.server.compression import deflate
from dagfm.server.lifecycle import Lifecycle
from dagfm.server.metrics import Metrics
from dagfm.server.settings import ALONE, INLINE, Settings

log = logging.getLogger(__name__)

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Handler = Callable[[Call], Answer]
AsyncHandler = Callable[[Call], Awaitable[Answer]]
StreamHandler = Callable[[Call, Receive], Awaitable[Answer]]

_CLIENT_GONE = 499
"""What logs and figures call a request whose client hung up (as nginx does)."""


class Desk:
    """What all endpoints of an application share."""

    def __init__(self, settings: Settings, metrics: Metrics, lifecycle: Lifecycle) -> None:
        self.limits, self.metrics, self.lifecycle = settings.limits, metrics, lifecycle
        self.log = settings.access_log
        self.pending = Pending(settings.limits.pending)
        self.large = ThreadPoolExecutor(1, thread_name_prefix="large")
        """One thread: the processor is shared with the event loop, and more would only hold more memory."""
        self.in_hand = 0
        """Requests that have begun and are not answered."""
        self._token = None if settings.token is None else settings.token.encode()

    def authorize(self, call: Call) -> None:
        """Raises RefusedError: 401 unless the call carries the token or none is needed, 403 where a browser says that
        another site's page sends it, which may have been opened on the very machine that is trusted."""
        if call.headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin"):
            raise RefusedError(403, "requests from pages of other sites are refused")
        if self._token is not None:
            credentials.check(call, self._token)


class Endpoint:
    """One route, an ASGI application of its own."""

    def __init__(
        self,
        desk: Desk,
        kind: str,
        handler: Handler | AsyncHandler | StreamHandler,
        *,
        how: str,
        method: str | None,
        guarded: bool = True,
    ) -> None:
        """``how``: instant handlers are called where they are, aside ones in any thread, large ones by the body's size,
        slow ones as if it were a large one, awaited ones on the event loop, streamed ones there, too, to read the body
        themselves. ``kind`` is what metrics call it; ``method`` None takes all."""
        self._desk, self.kind, self._handler, self._how, self._guarded = desk, kind, handler, how, guarded
        self._methods = {"GET": ("GET", "HEAD")}.get(method or "", (method,))

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1000})
            return
        desk, call = self._desk, _call(scope)
        close, told = desk.lifecycle.draining, None
        desk.in_hand += 1
        try:
            if self._guarded:
                desk.authorize(call)
            if self._how != "streamed":
                await read_body(receive, call, desk.limits, desk.pending)
            if call.method not in self._methods and self._methods != (None,):
                allowed = ", ".join(map(str, self._methods))
                raise RefusedError(405, f"{call.path} takes {allowed}", headers=[(b"allow", allowed.encode())])
            answer = await self._handled(call, receive)
        except RefusedError as refusal:
            close = close or refusal.close
            told = str(refusal)
            answer = error(refusal.status, told, refusal.headers)
        except ClientGoneError:
            self._observe(call, _CLIENT_GONE, 0, "the client hung up")
            return
        except DagfmError as problem:
            told = str(problem)
            answer = error(400, told)
        except (asyncio.CancelledError, KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # also a panic of a compiled library, which is no Exception
            log.exception("request %s: %s %s failed", call.id, call.method, call.path)
            told = f"internal error; the server's log tells of request {call.id}"
            answer = error(500, told)
        finally:
            desk.in_hand -= 1
            desk.pending.give_back(call.size)
            call.body = b""
        size = await _send(send, scope, call, answer, close=close or desk.lifecycle.draining)
        self._observe(call, answer.status, size, told)

    async def _handled(self, call: Call, receive: Receive) -> Answer:
        handler: Any = self._handler
        if self._how == "awaited":
            answer: Answer = await handler(call)
        elif self._how == "streamed":
            answer = await handler(call, receive)
        elif self._how == "aside":
            answer = await asyncio.to_thread(handler, call)
        elif self._how == "slow" or (self._how == "large" and self._is_large(call)):
            answer = await self._in_turn(call, receive)
        else:
            answer = handler(call)
        return answer

    def _is_large(self, call: Call) -> bool:
        at_once = ALONE if self._desk.in_hand == 1 else INLINE
        return len(call.body) > at_once or b"content-encoding" in call.headers

    async def _in_turn(self, call: Call, receive: Receive) -> Answer:
        """Score in the thread of large requests; who hangs up while waiting loses the turn."""
        handler: Any = self._handler
        seconds = self._desk.limits.seconds

        def work() -> Answer:
            if time.perf_counter() - call.started > seconds:
                raise RefusedError(429, f"no turn within {seconds:g} seconds", headers=[(b"retry-after", b"1")])
            answer: Answer = handler(call)
            return answer

        job = asyncio.get_running_loop().run_in_executor(self._desk.large, work)
        gone = asyncio.ensure_future(receive())
        try:
            await asyncio.wait((job, gone), return_when=asyncio.FIRST_COMPLETED)
            if not job.done() and job.cancel():
                raise ClientGoneError
            return await job
        finally:
            gone.cancel()

    def _observe(self, call: Call, status: int, size: int, told: str | None) -> None:
        seconds = time.perf_counter() - call.started
        if self._how in ("large", "slow"):
            self._desk.metrics.requests.labels(call.model, self.kind, str(status)).inc()
            self._desk.metrics.seconds.labels(call.model, self.kind).observe(seconds)
        if self._desk.log and (self._guarded or status >= 500):
            access.write(call, status, size, seconds, told)


def _call(scope: MutableMapping[str, Any]) -> Call:
    headers = dict(scope["headers"])
    client = scope.get("client")
    return Call(
        access.request_id(headers.get(access.REQUEST_ID)),
        scope["method"],
        scope["path"],
        client[0] if client else "",
        scope.get("path_params", {}),
        headers,
        time.perf_counter(),
    )


async def _send(send: Send, scope: MutableMapping[str, Any], call: Call, answer: Answer, *, close: bool) -> int:
    """Send ``answer`` and return the bytes of its body."""
    body, encoding = deflate(answer.body, call.header(b"accept-encoding"))
    headers = [
        (b"content-type", answer.content_type),
        (b"content-length", str(len(body)).encode()),
        (access.REQUEST_ID, call.id.encode()),
        *answer.headers,
    ]
    if call.version:
        headers.append((b"model-version", call.version.encode()))
    if encoding is not None:
        headers += [(b"content-encoding", encoding.encode()), (b"vary", b"accept-encoding")]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return len(body)
