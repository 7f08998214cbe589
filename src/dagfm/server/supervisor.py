"""The process that holds the socket, keeps workers alive, watches bundles and has all workers change at once."""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dagfm.errors import DagfmError, InputError, listed, needs
from dagfm.server.channel import Channel
from dagfm.server.forking import fork
from dagfm.server.placing import exchange, remove_unfinished
from dagfm.server.rounds import Round, Rounds
from dagfm.server.settings import Settings
from dagfm.server.shared import import_shared
from dagfm.server.snapshots import Snapshots
from dagfm.server.sources import Signature, locate, signature
from dagfm.server.staged import Staged

log = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds before a worker that could not start is started anew; doubled each time, up to ``_SELDOM``."""
_SELDOM = 30.0
_GRACE = 5.0
"""Seconds beyond drain and the limit of a request after which a worker that does not end is killed."""


class Worker:
    """A worker process and the channel to it."""

    def __init__(self, settings: Settings, listening: socket.socket, close: list[Callable[[], object]]) -> None:
        """``close`` is called in the new process, for what only the supervisor is to hold."""
        ours, theirs = socket.socketpair()

        def run() -> int:
            from dagfm.server.worker import main  # noqa: PLC0415 - has polars start threads

            return main(settings, Channel(theirs), listening)

        self.pid = fork(run, [*close, ours.close])
        theirs.close()
        self.channel = Channel(ours)
        self.send = self.channel.send
        self.ready = False

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, which a process that has just ended does not mind."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end; the exit status, or less a signal's number."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class Supervisor:
    """``run`` serves until SIGTERM or SIGINT; everything happens in its one thread."""

    def __init__(
        self,
        settings: Settings,
        listening: socket.socket,
        *,
        workers: int,
        poll: float,
        copy: bool,
        started: Callable[[], object],
    ) -> None:
        """``listening`` is bound and does not listen yet; bundles are looked at every ``poll`` seconds, 0 for never;
        ``copy`` serves private copies of them; ``started`` is called once all workers accept."""
        self._settings, self._listening, self._count, self._poll = settings, listening, workers, poll
        self._copy, self._snapshots = copy, Snapshots(None)
        self._started: Callable[[], object] | None = started
        self._workers: list[Worker] = []
        self._unloaded: set[str] = set(settings.unloaded)
        self._selector = selectors.DefaultSelector()
        self._rounds = Rounds(lambda: [one for one in self._workers if one.ready], self._changed)
        self._digests: dict[str, str] = {}
        self._seen: dict[str, Signature] = {}
        self._handled: dict[str, Signature] = {}
        self._next_look = time.monotonic() + poll
        self._starts: list[float] = []
        """When to start workers in the place of those that are gone."""
        self._pause = _AGAIN
        self._ending: float | None = None
        """When those that have not ended are killed."""

    def run(self) -> None:
        """Serve. Raises InputError when a model cannot be loaded at the start."""
        with tempfile.TemporaryDirectory(prefix="dagfm-serve-") as folder:
            self._folder = folder
            try:
                import_shared(folder)
            except ImportError as error:
                raise needs("dagfm serve", "serve", error) from None
            if self._copy:
                copies = Path(folder) / "bundles"
                copies.mkdir()
                self._settings = msgspec.structs.replace(self._settings, copies=str(copies))
                self._snapshots = Snapshots(copies)
            for path in self._settings.models.values():
                for bundle in locate(Path(path)).values():
                    remove_unfinished(bundle)
            self._handled = {name: signature(Path(path)) for name, path in self._settings.models.items()}
            inbox, outbox = socket.socketpair()
            inbox.setblocking(False)
            outbox.setblocking(False)
            self._wakeup = inbox.close, outbox.close
            signal.set_wakeup_fd(outbox.fileno())
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)
            self._selector.register(inbox, selectors.EVENT_READ, None)
            self._starts = [0.0] * self._count
            try:
                while self._workers or self._ending is None:
                    self._turn(inbox)
            finally:
                for worker in self._workers:
                    worker.send_signal(signal.SIGKILL)
                    worker.wait()

    def _turn(self, inbox: socket.socket) -> None:
        now = time.monotonic()
        for when in [when for when in self._starts if when <= now and self._ending is None]:
            self._starts.remove(when)
            self._start()
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._signalled(set(inbox.recv(64)))
            else:
                self._hear(key.data)
        now = time.monotonic()
        if self._ending is not None and now >= self._ending:
            for worker in self._workers:
                worker.send_signal(signal.SIGKILL)
        elif self._poll and now >= self._next_look and self._ending is None:
            self._next_look = now + self._poll
            self._look()

    def _patience(self) -> float:
        """Seconds until something is to be done without being asked."""
        now = time.monotonic()
        moments = [now + 1.0]
        if self._ending is None:
            moments += [*self._starts, *([self._next_look] if self._poll else [])]
        return max(0.0, min(moments) - now)

    def _start(self) -> None:
        settings = msgspec.structs.replace(
            self._settings,
            unloaded=tuple(sorted(self._unloaded)),
            current={name: _marks(digest) for name, digest in self._digests.items()},
        )
        others = (worker.channel.close for worker in self._workers)
        worker = Worker(settings, self._listening, [self._selector.close, *self._wakeup, *others])
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _hear(self, worker: Worker) -> None:
        messages = worker.channel.receive()
        if messages is None:
            self._lost(worker)
            return
        for message in messages:
            if "failed" in message:
                if self._started is not None:
                    raise InputError(message["failed"])
                log.error("a new worker cannot start: %s", message["failed"])
            elif "ready" in message:
                self._joined(worker, message["digests"])
            elif "ask" in message:
                self._rounds.wish(message["ask"], message["model"], (worker, message["ticket"]), message["staged"])
            elif message["done"] == "catch_up":
                self._caught_up(message["model"], message["report"]["digest"])
            else:
                self._rounds.done(worker, message["report"])

    def _joined(self, worker: Worker, digests: dict[str, str]) -> None:
        worker.ready, self._pause = True, _AGAIN
        for name, digest in digests.items():
            if self._digests.setdefault(name, digest) != digest and name not in self._unloaded:
                # What is served changed while it started.
                worker.send(do="catch_up", model=name, current=_marks(self._digests[name]))
        if self._started is not None and sum(one.ready for one in self._workers) == self._count:
            self._started()
            self._started = None

    def _caught_up(self, name: str, digest: str) -> None:
        if digest != self._digests[name] and name not in self._unloaded:
            self._rounds.wish("load", name)  # where bundles are served where they lie, they are found there alone

    def _lost(self, worker: Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        status = worker.wait()
        self._workers.remove(worker)
        self._rounds.leave(worker)
        from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - reads the environment

        mark_process_dead(worker.pid, self._folder)  # type: ignore[no-untyped-call]
        if self._ending is not None:
            return
        if self._started is not None:
            raise DagfmError(f"a worker ended with status {status} before it could serve; its messages are above")
        log.error("worker %d ended with status %d; another takes its place", worker.pid, status)
        if worker.ready:
            self._starts.append(0.0)
        else:
            self._starts.append(time.monotonic() + self._pause)
            self._pause = min(2 * self._pause, _SELDOM)

    def _look(self) -> None:
        """Have changed bundles loaded, once they look the same twice: who copies is still at it the first time."""
        for name, path in self._settings.models.items():
            if name in self._unloaded or self._started is not None:
                continue
            found = signature(Path(path))
            if found != self._handled.get(name) and found == self._seen.get(name):
                self._handled[name] = found
                self._rounds.wish("load", name)
            self._seen[name] = found

    def _changed(self, one: Round, report: dict[str, Any]) -> None:
        if one.what == "unload":
            self._unloaded.add(one.model)
            self._digests[one.model] = ""
            return
        if not report.get("versions"):
            if one.what == "load":
                self._handled.pop(one.model, None)  # they did not agree: look again
            return
        self._unloaded.discard(one.model)
        self._digests[one.model] = report["digest"]
        self._snapshots.keep_only({mark for digest in self._digests.values() for mark in _marks(digest).values()})
        if one.staged is not None and report["fresh"]:
            self._replace(one.model, msgspec.convert(one.staged, Staged))
        if report["fresh"]:
            log.info("model %s: all workers serve version %s", one.model, listed(report["fresh"]))
        for version, reason in report["failures"].items():
            log.warning(
                "model %s: version %s refused (%s); served as before: %s",
                one.model, version or "next", reason, listed(report["versions"]),
            )  # fmt: skip

    def _replace(self, name: str, staged: Staged) -> None:
        """Put the patched bundle, which all workers serve, at the model's path too, so that the next start finds it."""
        if staged.fresh is None or staged.target is None:
            return
        old = exchange(Path(staged.fresh), Path(staged.target), staged.base)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
            self._handled[name] = signature(Path(self._settings.models[name]))

    def _signalled(self, numbers: set[int]) -> None:
        wanted = numbers & {signal.SIGTERM, signal.SIGINT}
        if not wanted:
            return
        if self._ending is not None:
            self._ending = time.monotonic()  # asked twice
            return
        self._listening.close()
        at_once = signal.SIGINT in wanted
        drain = 0.0 if at_once else self._settings.drain
        log.info("ending%s", "" if at_once else f": new requests are still answered for {drain:g} seconds")
        self._ending = time.monotonic() + drain + self._settings.limits.seconds + _GRACE
        for worker in self._workers:
            worker.send_signal(signal.SIGINT if at_once else signal.SIGTERM)


def _marks(digest: str) -> dict[str, str]:
    """The fingerprints by version that a model's digest names."""
    return dict(pair.split(":") for pair in digest.split())
