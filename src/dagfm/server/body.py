"""Reading a request's body within limits of size, time and memory."""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from dagfm.server.answers import RefusedError
from dagfm.server.call import Call
from dagfm.server.settings import Limits

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_POLITE = 1.0
"""Seconds for which the rest of a refused body is read and dropped: a client that still sends would not see why."""

_PIECE = 1 << 20
"""Bytes of a body that are written to a file at a time."""


class ClientGoneError(Exception):
    """The client has hung up, so nobody waits for an answer."""


class Pending:
    """How many bytes of bodies this process holds."""

    def __init__(self, most: int) -> None:
        self._most, self.held = most, 0

    def take(self, size: int) -> None:
        """Count ``size`` bytes more; raises RefusedError (429) where that is too many."""
        if self.held + size > self._most and self.held:
            raise RefusedError(429, "the server has too much to do", close=True, headers=[(b"retry-after", b"1")])
        self.held += size

    def give_back(self, size: int) -> None:
        """Count them no longer."""
        self.held -= size


async def read_body(receive: Receive, call: Call, limits: Limits, pending: Pending) -> None:
    """Read the whole body into ``call``; ``call.size`` bytes are pending then, also when it raises.

    Raises RefusedError: 413 for too large a body, 408 for too slow a client, 429 where too much is pending. Raises
    ClientGoneError.
    """
    try:
        _check_announced(call, limits.body)
        async with asyncio.timeout(limits.seconds):
            message = await receive()
            chunks: list[bytes] = []
            while True:
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk: bytes = message.get("body", b"")
                pending.take(len(chunk))
                call.size += len(chunk)
                if call.size > limits.body:
                    raise _too_large(limits.body)
                chunks.append(chunk)
                if not message.get("more_body", False):
                    break
                message = await receive()
            call.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
    except TimeoutError:
        raise _too_slow(limits) from None
    except RefusedError:
        await _drop_rest(receive)
        raise


async def spool_body(receive: Receive, call: Call, limits: Limits, path: Path) -> None:
    """Write a body of up to ``limits.patch`` bytes to the file ``path``, of which each MiB has to arrive in time.

    Raises RefusedError: 413, 408; 507 where the disk is full. Raises ClientGoneError.
    """
    try:
        _check_announced(call, limits.patch)
        with path.open("wb") as file:
            more = True
            while more:
                held, size = [], 0
                async with asyncio.timeout(limits.seconds):
                    while more and size < _PIECE:
                        message = await receive()
                        if message["type"] == "http.disconnect":
                            raise ClientGoneError
                        held.append(message.get("body", b""))
                        size += len(held[-1])
                        more = message.get("more_body", False)
                call.spooled += size
                if call.spooled > limits.patch:
                    raise _too_large(limits.patch)
                await asyncio.to_thread(file.writelines, held)
    except TimeoutError:
        raise _too_slow(limits) from None
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise RefusedError(507, "the server has no disk space for it", close=True) from None
    except RefusedError:
        await _drop_rest(receive)
        raise


def _check_announced(call: Call, most: int) -> None:
    announced = call.headers.get(b"content-length", b"")
    if announced.isdigit() and (len(announced) > 18 or int(announced) > most):
        raise _too_large(most)


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, f"the body is larger than {most} bytes", close=True)


def _too_slow(limits: Limits) -> RefusedError:
    return RefusedError(408, f"the body did not arrive within {limits.seconds:g} seconds", close=True)


async def _drop_rest(receive: Receive) -> None:
    end = time.monotonic() + _POLITE
    try:
        async with asyncio.timeout(_POLITE):
            message = await receive()
            while message.get("more_body", False) and time.monotonic() < end:
                message = await receive()
    except TimeoutError:
        return
