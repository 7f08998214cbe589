"""Connections: answers that nobody takes, upgrades that are offered, and what follows a chunked body."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from dagfm.server.http import protocol
from dagfm.server.settings import Limits

LIMITS = Limits(seconds=0.3, head=10_000)
LONG = 20_000_000
"""Bytes of an answer that no kernel holds for a client."""

OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\nUpgrade: h2c\r\n"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answer with what arrived, or with much for /long."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    names = [name.decode() for name, _ in scope["headers"]]
    answer = b" " * LONG if scope["path"] == "/long" else json.dumps([body.decode(), names]).encode()
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


def connected(talk: Callable[[socket.socket, ServerState], Awaitable[None]]) -> None:
    """Let ``talk`` use a connection to a server of the protocol."""

    async def main() -> None:
        state, loop = ServerState(), asyncio.get_running_loop()
        config = uvicorn.Config(echo, http=protocol(LIMITS), lifespan="off", log_config=None)
        config.load()
        server = await loop.create_server(
            lambda: protocol(LIMITS)(config=config, server_state=state, app_state={}), "127.0.0.1", 0
        )
        async with server:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                await loop.sock_connect(client, server.sockets[0].getsockname())
                await asyncio.wait_for(talk(client, state), 30)
            for connection in list(state.connections):
                connection.transport.abort()  # type: ignore[attr-defined]

    asyncio.run(main())


async def ask(client: socket.socket, *parts: bytes, answers: int = 1) -> list[Any]:
    """The bodies of so many answers to what is sent, a moment between its parts."""
    loop, found = asyncio.get_running_loop(), b""
    for part in parts:
        await loop.sock_sendall(client, part)
        await asyncio.sleep(0.05)
    while found.count(b"]") < answers and (data := await loop.sock_recv(client, 65536)):
        found += data
    return [json.loads(body) for body in re.findall(rb"\r\n\r\n(\[.*?\]\])", found)]


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_offers_http_2_is_answered_as_others_are(apart: bool, chunked: bool) -> None:
    """Java's do, and the parser would drop the body and what comes behind it."""
    length = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: 19\r\n"
    head = b"POST / HTTP/1.1\r\nHost: a\r\n" + OFFER + length + b"\r\n"
    body = b"\r\nUpgrade: no header"[:19]
    sent = b"13\r\n" + body + b"\r\n0\r\n\r\n" if chunked else body

    async def talk(client: socket.socket, state: ServerState) -> None:
        for _ in range(2):
            ((found, _),) = await ask(client, *([head, sent] if apart else [head + sent]))
            assert found == body.decode()

    connected(talk)


def test_what_follows_a_chunked_body_is_no_header() -> None:
    async def talk(client: socket.socket, state: ServerState) -> None:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        ((body, names),) = await ask(client, head + b"2\r\nhi\r\n0\r\nAuthorization: me\r\n\r\n")
        assert (body, names) == ("hi", ["host", "transfer-encoding"])

    connected(talk)


@pytest.mark.parametrize("piece", [b"a: b\r\n" * 1000, b"y" * 6000])
def test_what_follows_a_chunked_body_without_end_is_cut_off(piece: bytes) -> None:
    async def talk(client: socket.socket, state: ServerState) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(client, b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx: ")
        for _ in range(3):  # what comes in one piece with the head does not count
            await asyncio.sleep(0.05)
            await loop.sock_sendall(client, piece)
        assert (await loop.sock_recv(client, 65536)).startswith(b"HTTP/1.1 431 ")

    connected(talk)


def test_an_answer_that_nobody_takes_is_given_up() -> None:
    async def talk(client: socket.socket, state: ServerState) -> None:
        await asyncio.get_running_loop().sock_sendall(client, b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        while not state.connections:
            await asyncio.sleep(0.01)
        while state.connections:
            await asyncio.sleep(0.05)

    connected(talk)


def test_who_takes_an_answer_slowly_gets_all_of_it() -> None:
    async def talk(client: socket.socket, state: ServerState) -> None:
        loop, found = asyncio.get_running_loop(), 0
        await loop.sock_sendall(client, b"GET /long HTTP/1.1\r\nHost: a\r\n\r\n")
        next_pause = 0
        while found < LONG:
            found += len(await loop.sock_recv(client, 1 << 20))
            if found > next_pause:
                next_pause = found + LONG // 8
                await asyncio.sleep(0.2)

    connected(talk)
