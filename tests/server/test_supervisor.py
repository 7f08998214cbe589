"""What the supervisor does about workers that come late, hang, or cannot be had; the processes are made up here."""

from __future__ import annotations

import errno
import signal
import socket
import types
from collections.abc import Iterator
from typing import Any

import pytest

from dagfm.errors import DagfmError
from dagfm.server import supervisor as module
from dagfm.server.settings import Settings
from dagfm.server.supervisor import Supervisor


class Fake:
    """A worker that remembers what it is told."""

    def __init__(self, pid: int) -> None:
        self.pid, self.ready = pid, False
        self.told: list[dict[str, Any]] = []
        self.signals: list[signal.Signals] = []
        self.channel = types.SimpleNamespace(close=lambda: None)

    def send(self, **message: Any) -> bool:
        self.told.append(message)
        return True

    def send_signal(self, number: signal.Signals) -> None:
        self.signals.append(number)


def report(digest: str) -> dict[str, Any]:
    return {"versions": [digest], "fresh": [digest], "failures": {}, "digest": digest}


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """One with two workers that serve the bundle a."""
    with socket.socket() as listening:
        found = Supervisor(
            Settings({"m": "nowhere"}), listening, workers=2, poll=0.0, copy=False, started=lambda: None
        )  # fmt: skip
        found._signals = types.SimpleNamespace(close=lambda: None)  # type: ignore[assignment]
        for pid in (1, 2):
            join(found, Fake(pid), "v:a")
        yield found


def join(supervisor: Supervisor, worker: Fake, digest: str) -> Fake:
    supervisor._workers.append(worker)  # type: ignore[arg-type]
    supervisor._joined(worker, {"m": digest})  # type: ignore[arg-type]
    return worker


def finish(supervisor: Supervisor, digest: str, phases: int = 2) -> None:
    one, two, *_ = supervisor._workers
    for _ in range(phases):
        supervisor._rounds.done(one, report(digest))
        supervisor._rounds.done(two, report(digest))


def test_who_joins_during_a_change_is_brought_up_after_it(supervisor: Supervisor) -> None:
    supervisor._rounds.wish("load", "m")
    late = join(supervisor, Fake(3), "v:a")
    assert late.told == []
    finish(supervisor, "v:b")
    assert late.told == [{"do": "catch_up", "model": "m", "current": {"v": "b"}}]


def test_who_joins_after_a_change_that_it_missed_is_brought_up(supervisor: Supervisor) -> None:
    supervisor._rounds.wish("load", "m")
    finish(supervisor, "v:b")
    assert join(supervisor, Fake(3), "v:a").told == [{"do": "catch_up", "model": "m", "current": {"v": "b"}}]
    assert join(supervisor, Fake(4), "v:b").told == []


def test_who_joins_with_a_model_that_was_unloaded_meanwhile_unloads_it(supervisor: Supervisor) -> None:
    supervisor._rounds.wish("unload", "m")
    finish(supervisor, "", phases=1)
    assert join(supervisor, Fake(3), "v:a").told == [{"do": "catch_up", "model": "m", "current": {}}]
    assert join(supervisor, Fake(4), "").told == []


def test_who_joins_when_the_server_ends_is_told_so_again(supervisor: Supervisor) -> None:
    """SIGINT may have come while polars was imported, which catches it."""
    told: list[str] = []
    supervisor._started, supervisor._count = lambda: told.append("serving"), 3
    supervisor._signalled({signal.SIGINT})
    assert join(supervisor, Fake(3), "v:a").signals == [signal.SIGINT]
    assert not told


def test_a_worker_that_hangs_is_killed(supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = supervisor._workers
    supervisor._rounds.wish("load", "m")
    supervisor._rounds.done(one, report("v:b"))
    monkeypatch.setattr("dagfm.server.rounds.PATIENCE", 0.0)
    supervisor._kill_late()
    assert (one.signals, two.signals) == ([], [signal.SIGKILL])  # type: ignore[attr-defined]


def test_where_no_process_can_be_had_the_others_serve_on(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*arguments: Any) -> Any:
        raise OSError(errno.ENOMEM, "Cannot allocate memory")

    monkeypatch.setattr(module, "Worker", fails)
    supervisor._start()
    assert len(supervisor._starts) == 1, "it is tried again"
    assert "a worker cannot be started (Cannot allocate memory)" in caplog.text
    supervisor._started = lambda: None
    with pytest.raises(DagfmError, match="Cannot allocate memory"):
        supervisor._start()
