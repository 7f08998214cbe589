"""A change of a model in all workers at once: everybody loads beside what is served, then everybody switches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

PATIENCE = 600.0
"""Seconds that a phase may take; the longest is to copy a large bundle and read it through."""


class Member(Protocol):
    """A worker that takes part."""

    def send(self, **message: Any) -> bool:
        """Send it a message; False where it is gone, which its end of the channel tells as well."""


@dataclass
class Round:
    """One change on its way."""

    what: str
    """load, unload or adopt."""
    model: str
    staged: dict[str, Any] | None = None
    """What all adopt."""
    tickets: list[tuple[Member, int]] = field(default_factory=list)
    """The clients' calls that wait for it: the worker that has each, and its number there."""
    members: list[Member] = field(default_factory=list)
    """Who takes part: those that were there when it began and have not gone since."""
    phase: str = ""
    began: float = 0.0
    """When the phase did, on the monotonic clock."""
    waiting: list[Member] = field(default_factory=list)
    """Who has not carried out the phase yet."""
    reports: list[dict[str, Any]] = field(default_factory=list)


class Rounds:
    """The changes in the order in which they were wished for, one after another."""

    def __init__(self, members: Callable[[], Iterable[Member]], ended: Callable[[Round, dict[str, Any]], None]) -> None:
        """``members`` are those there are now, who take part from the start of a round to its end; ``ended`` is told of
        each and how it went, before those are that wait for it."""
        self._members, self._ended = members, ended
        self._queue: deque[Round] = deque()
        self._current: Round | None = None

    def wish(
        self,
        what: str,
        model: str,
        ticket: tuple[Member, int] | None = None,
        staged: dict[str, Any] | None = None,
    ) -> None:
        """Want a change; one that waits for its turn already is the same one."""
        found = next((one for one in self._queue if (one.what, one.model, one.staged) == (what, model, staged)), None)
        if found is None:
            found = Round(what, model, staged)
            self._queue.append(found)
        if ticket is not None:
            found.tickets.append(ticket)
        self._begin()

    def done(self, member: Member, report: dict[str, Any] | None) -> None:
        """A member has carried out the phase."""
        current = self._current
        if current is not None and member in current.waiting:
            current.waiting.remove(member)
            if report is not None:
                current.reports.append(report)
            self._go_on(current)

    def leave(self, member: Member) -> None:
        """A member is gone."""
        for one in (*self._queue, *([self._current] if self._current else ())):
            one.tickets = [(who, number) for who, number in one.tickets if who is not member]
        if self._current is not None and member in self._current.members:
            self._current.members.remove(member)
        self.done(member, None)

    def late(self) -> list[Member]:
        """Who has been at a phase for longer than any takes that works; to be asked from time to time."""
        current, now = self._current, time.monotonic()
        if current is None or now - current.began < PATIENCE:
            return []
        current.began = now
        return list(current.waiting)

    def _begin(self) -> None:
        if self._current is None and self._queue:
            self._current = current = self._queue.popleft()
            current.members = list(self._members())
            self._phase(current, "prepare" if current.what == "load" else current.what)

    def _phase(self, current: Round, phase: str) -> None:
        current.phase, current.reports, current.began = phase, [], time.monotonic()
        current.waiting = list(current.members)
        for member in list(current.waiting):
            if phase == "adopt":
                member.send(do=phase, model=current.model, staged=current.staged)
            else:
                member.send(do=phase, model=current.model)
        self._go_on(current)

    def _go_on(self, current: Round) -> None:
        if current.waiting:
            return
        agreed = len({report["digest"] for report in current.reports}) <= 1
        if current.phase in ("prepare", "adopt"):
            self._phase(current, "commit" if agreed and current.reports else "abort")
            return
        if current.phase == "abort":
            report = {"versions": [], "fresh": [], "digest": "", "failures": {"": "workers found different bundles"}}
        else:
            report = current.reports[0] if current.reports else {"failures": {"": "no worker is there"}}
        self._current = None
        self._ended(current, report)
        for member, number in current.tickets:
            member.send(ticket=number, report=report)
        self._begin()
