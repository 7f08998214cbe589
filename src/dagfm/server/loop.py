"""uvicorn's server, which at SIGTERM first tells everybody, then stops listening, then ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from dagfm.server.http import protocol
from dagfm.server.lifecycle import Lifecycle
from dagfm.server.settings import Limits

_LAST_CALL = 1.0
"""Seconds at most between the end of listening and that of connections: what was accepted last is answered too."""

_KEEP_ALIVE = 75
"""Seconds for which an idle connection stays; longer than load balancers keep theirs (60), so that they close first."""


class Server(uvicorn.Server):
    """Loses no request at SIGTERM.

    For ``drain`` seconds it goes on as before, but is not ready and closes each connection with its answer, so clients
    and load balancers go elsewhere. Then it stops listening, answers what is there, and ends.
    """

    def __init__(
        self, app: ASGIApp, limits: Limits, lifecycle: Lifecycle, drain: float, listening: Callable[[], object]
    ) -> None:
        """``listening`` is called once connections are accepted."""
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol(limits),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_keep_alive=_KEEP_ALIVE,
                timeout_graceful_shutdown=int(limits.seconds) + 1,
            )
        )
        self._lifecycle, self._drain, self._listening = lifecycle, drain, listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        await super().startup(sockets)
        self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM drains; SIGINT, which a terminal sends to every process of the command, ends without waiting."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._begin_to_end, self._drain)
        loop.add_signal_handler(signal.SIGINT, self._begin_to_end, 0.0)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)

    def _begin_to_end(self, drain: float) -> None:
        if not self._lifecycle.draining or not drain:
            self._lifecycle.draining = True
            asyncio.get_running_loop().call_later(drain, self._stop_listening)

    def _stop_listening(self) -> None:
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + _LAST_CALL

        def look() -> None:
            if not self.server_state.connections or loop.time() >= end:
                self.should_exit = True
            else:
                loop.call_later(0.02, look)

        look()
