"""The process that holds the socket, keeps workers alive, watches bundles and has all workers change at once."""

from __future__ import annotations

import contextlib
import logging
import selectors
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from dagfm.errors import DagfmError, InputError, listed, needs
from dagfm.server.figures import bury
from dagfm.server.folder import own_folder
from dagfm.server.placing import exchange, remove_unfinished, remove_workplaces
from dagfm.server.process import Worker
from dagfm.server.rounds import Round, Rounds
from dagfm.server.settings import Settings
from dagfm.server.shared import import_shared
from dagfm.server.signals import Signals
from dagfm.server.snapshots import Snapshots
from dagfm.server.sources import locate
from dagfm.server.staged import Staged
from dagfm.server.watch import Watch

log = logging.getLogger(__name__)

_AGAIN = 1.0
"""Seconds before a worker that could not start is started anew; doubled each time, up to ``_SELDOM``."""
_SELDOM = 30.0
_GRACE = 5.0
"""Seconds beyond drain and the limit of a request after which a worker that does not end is killed."""


class Supervisor:
    """``run`` serves until a signal ends it; everything happens in its one thread."""

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
        self._next_look = time.monotonic() + poll
        self._starts: list[float] = []
        """When to start workers in the place of those that are gone."""
        self._pause = _AGAIN
        self._ending: float | None = None
        """When those that have not ended are killed."""

    def run(self) -> None:
        """Serve. Raises InputError when a model cannot be loaded at the start."""
        with contextlib.closing(Signals()) as self._signals, own_folder() as self._folder:
            try:
                import_shared(str(self._folder))
            except ImportError as error:
                raise needs("dagfm serve", "serve", error) from None
            self._settings = msgspec.structs.replace(self._settings, folder=str(self._folder))
            if self._copy:
                copies = self._folder / "bundles"
                copies.mkdir()
                self._settings = msgspec.structs.replace(self._settings, copies=str(copies))
                self._snapshots = Snapshots(copies)
            for path in self._settings.models.values():
                for bundle in locate(Path(path)).values():
                    remove_unfinished(bundle)
            self._watch = Watch(self._settings.models)
            self._selector.register(self._signals, selectors.EVENT_READ, None)
            self._starts = [0.0] * self._count
            try:
                while self._workers or self._ending is None:
                    self._turn()
            finally:
                for worker in self._workers:
                    worker.send_signal(signal.SIGKILL)
                    worker.wait()

    def _turn(self) -> None:
        now = time.monotonic()
        for when in [when for when in self._starts if when <= now and self._ending is None]:
            self._starts.remove(when)
            self._start()
        for key, _ in self._selector.select(self._patience()):
            if key.data is None:
                self._signalled(self._signals.received())
            else:
                self._hear(key.data)
        now = time.monotonic()
        if self._ending is not None and now >= self._ending:
            for worker in self._workers:
                worker.send_signal(signal.SIGKILL)
        elif self._poll and now >= self._next_look and self._ending is None:
            self._next_look = now + self._poll
            self._look()
        self._kill_late()

    def _kill_late(self) -> None:
        late = self._rounds.late()
        for worker in self._workers:
            if worker in late:
                log.error("worker %d hangs and is killed: others wait for it", worker.pid)
                worker.send_signal(signal.SIGKILL)

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
        try:
            worker = Worker(settings, self._listening, [self._selector.close, self._signals.close, *others])
        except OSError as error:
            if self._started is not None:
                raise DagfmError(f"a worker cannot be started ({error.strerror})") from None
            log.error("a worker cannot be started (%s)", error.strerror)
            self._start_later()
            return
        self._workers.append(worker)
        self._selector.register(worker.channel, selectors.EVENT_READ, worker)

    def _start_later(self) -> None:
        self._starts.append(time.monotonic() + self._pause)
        self._pause = min(2 * self._pause, _SELDOM)

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
        if self._ending is not None:
            worker.send_signal(signal.SIGINT)  # polars swallows one that comes between its import and our handlers
            return
        worker.ready, self._pause = True, _AGAIN
        for name, digest in digests.items():
            if self._digests.setdefault(name, digest) != digest:
                self._bring_up(worker, name)  # what is served changed while it started
        if self._started is not None and sum(one.ready for one in self._workers) == self._count:
            self._started()
            self._started = None

    def _bring_up(self, worker: Worker, name: str) -> None:
        """Have a worker that took no part in a change serve what the others do."""
        worker.send(do="catch_up", model=name, current=_marks(self._digests[name]))

    def _caught_up(self, name: str, digest: str) -> None:
        if digest != self._digests[name] and name not in self._unloaded:
            self._rounds.wish("load", name)  # where bundles are served where they lie, they are found there alone

    def _lost(self, worker: Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        status = worker.wait()
        self._workers.remove(worker)
        self._rounds.leave(worker)
        bury(self._folder, worker.pid)
        remove_workplaces(self._folder, worker.pid)
        if self._ending is not None:
            return
        if self._started is not None:
            raise DagfmError(f"a worker ended with status {status} before it could serve; its messages are above")
        log.error("worker %d ended with status %d; another takes its place", worker.pid, status)
        if worker.ready:
            self._starts.append(0.0)
        else:
            self._start_later()

    def _look(self) -> None:
        """Have changed bundles loaded."""
        for name in self._settings.models:
            if name not in self._unloaded and self._started is None and self._watch.changed(name):
                self._rounds.wish("load", name)

    def _changed(self, one: Round, report: dict[str, Any]) -> None:
        if one.what == "unload":
            self._unloaded.add(one.model)
            self._agreed(one, "")
            return
        if not report.get("versions"):
            if one.what == "load":
                self._watch.doubt(one.model)  # they did not agree
            return
        self._unloaded.discard(one.model)
        self._agreed(one, report["digest"])
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

    def _agreed(self, one: Round, digest: str) -> None:
        if self._digests.get(one.model) != digest:
            self._digests[one.model] = digest
            for worker in self._workers:
                if worker.ready and worker not in one.members:
                    self._bring_up(worker, one.model)

    def _replace(self, name: str, staged: Staged) -> None:
        """Put the patched bundle, which all workers serve, at the model's path too, so that the next start finds it."""
        if staged.fresh is None or staged.target is None:
            return
        old = exchange(Path(staged.fresh), Path(staged.target), staged.base)
        if old is not None:
            shutil.rmtree(old, ignore_errors=True)
            self._watch.know(name)

    def _signalled(self, numbers: set[int]) -> None:
        if self._ending is not None:
            self._ending = time.monotonic()  # asked twice
            return
        self._listening.close()
        at_once = signal.SIGTERM not in numbers
        drain = 0.0 if at_once else self._settings.drain
        log.info("ending%s", "" if at_once else f": new requests are still answered for {drain:g} seconds")
        self._ending = time.monotonic() + drain + self._settings.limits.seconds + _GRACE
        for worker in self._workers:
            worker.send_signal(signal.SIGINT if at_once else signal.SIGTERM)


def _marks(digest: str) -> dict[str, str]:
    """The fingerprints by version that a model's digest names."""
    return dict(pair.split(":") for pair in digest.split())
