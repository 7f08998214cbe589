"""What a worker process does, which the supervisor forks.

It loads and warms every model before it accepts, so a connection never meets a worker that cannot answer.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import logging
import os
import resource
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any

import msgspec

from dagfm.server.answers import RefusedError
from dagfm.server.app import build
from dagfm.server.changes import Changes, Report
from dagfm.server.channel import Channel
from dagfm.server.figures import reserve
from dagfm.server.lifecycle import Lifecycle
from dagfm.server.loop import Server
from dagfm.server.metrics import Metrics
from dagfm.server.repository import Repository
from dagfm.server.settings import MULTIPROCESS, Settings
from dagfm.server.staged import Staged

log = logging.getLogger(__name__)

_SWITCH = 0.0005
"""Seconds that the thread of large requests may keep the interpreter from the event loop; Python's own are 0.005."""


class Commands:
    """What the supervisor says, carried out in a thread; and the calls of clients, passed on to it."""

    def __init__(self, channel: Channel, changes: Changes) -> None:
        self._channel, self._changes = channel, changes
        self._tickets = itertools.count()
        self._waiting: dict[int, tuple[asyncio.AbstractEventLoop, asyncio.Future[Report]]] = {}

    async def change(self, what: str, model: str, staged: Staged | None = None) -> Report:
        """Have all workers change a model, this one included."""
        loop = asyncio.get_running_loop()
        ticket = next(self._tickets)
        answer: asyncio.Future[Report] = loop.create_future()
        self._waiting[ticket] = loop, answer
        if not self._channel.send(ask=what, model=model, ticket=ticket, staged=msgspec.to_builtins(staged)):
            raise RefusedError(503, "the server is about to end")
        return await answer

    def obey(self) -> None:
        """Carry out commands until the supervisor is gone; then end as at SIGTERM."""
        try:
            self._obey()
        except Exception:
            log.exception("worker %d: cannot carry out the supervisor's commands any more, and ends", os.getpid())
        os.kill(os.getpid(), signal.SIGTERM)

    def _obey(self) -> None:
        while (messages := self._channel.receive()) is not None:
            for message in messages:
                if "ticket" in message:
                    loop, answer = self._waiting.pop(message["ticket"])
                    loop.call_soon_threadsafe(answer.set_result, msgspec.convert(message["report"], Report))
                else:
                    report = msgspec.to_builtins(self._done(**message))
                    self._channel.send(done=message["do"], model=message["model"], report=report)

    def _done(self, do: str, model: str, staged: Any = None, current: Any = None) -> Report | None:
        if do == "adopt":
            return self._changes.adopt(model, msgspec.convert(staged, Staged))
        if do == "catch_up":
            return self._changes.catch_up(model, current)
        report: Report | None = getattr(self._changes, do)(model)
        return report


def main(settings: Settings, channel: Channel, listening: socket.socket) -> int:
    """Serve until SIGTERM; 2 where a model cannot be loaded at the start."""
    sys.setswitchinterval(_SWITCH)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # each connection is an open file
    logging.getLogger("uvicorn").setLevel(max(log.getEffectiveLevel(), logging.WARNING))
    try:
        reserve(Path(os.environ[MULTIPROCESS]))
    except OSError as error:
        channel.send(failed=f"figures cannot be shared: {error.strerror}; TMPDIR says where they lie")
        return 1
    repository, metrics, lifecycle = Repository(settings), Metrics(), Lifecycle()
    changes = Changes(repository, metrics)
    for name in settings.models:
        if name in settings.unloaded:
            continue
        report = changes.start(name, settings.current.get(name, {}))
        if not report.versions:
            channel.send(failed=f"model {name}: {'; '.join(report.failures.values())}")
            return 2
        changes.commit(name)
    # What is there now stays; looking through it for garbage would halt requests for as long as many of them take.
    gc.collect()
    gc.freeze()
    commands = Commands(channel, changes)
    app = build(settings, repository, metrics, commands, lifecycle)

    def tell() -> None:
        channel.send(ready=os.getpid(), digests={name: model.digest for name, model in repository.models.items()})

    server = Server(app, settings.limits, lifecycle, settings.drain, tell)
    threading.Thread(target=commands.obey, name="commands", daemon=True).start()
    try:
        server.run([listening])
    except OSError as error:
        channel.send(failed=f"cannot listen: {error.strerror}")
        return 1
    return 0
