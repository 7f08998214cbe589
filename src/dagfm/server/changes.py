"""Loading and unloading in one process: the repository's steps, counted, and told in a form that travels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct

from dagfm.server.metrics import Metrics
from dagfm.server.models import Change
from dagfm.server.repository import Repository


class Report(Struct, frozen=True):
    """What a change of a model came to."""

    versions: tuple[str, ...] = ()
    """Served now."""
    fresh: tuple[str, ...] = ()
    failures: dict[str, str] = {}
    digest: str = ""

    @classmethod
    def of(cls, change: Change) -> Report:
        """A change's report."""
        return cls(tuple(change.model.versions), change.fresh, dict(change.model.failures), change.model.digest)


class Control(Protocol):
    """Whoever carries out the calls of clients that load and unload."""

    async def change(self, what: str, model: str) -> Report:
        """``what``: load or unload."""


class Changes:
    """The steps, for this process alone. ``prepare`` takes as long as reading a bundle does; the others are instant."""

    def __init__(self, repository: Repository, metrics: Metrics) -> None:
        self._repository, self._metrics = repository, metrics

    def start(self, model: str, current: Mapping[str, str]) -> Report:
        """Load for the first time: what the other workers serve, or what lies there; small files alone are read
        through, as a start has to be quick."""
        change = self._repository.resume(model, current) if current else None
        return Report.of(change or self._repository.prepare(model, verify=False))

    def prepare(self, model: str) -> Report:
        """Load beside what is served."""
        return Report.of(self._repository.prepare(model))

    def commit(self, model: str) -> Report:
        """Switch to what was prepared."""
        before = self._marks(model)
        return self._counted(self._repository.commit(model), before)

    def abort(self, model: str) -> None:
        """Forget what was prepared."""
        self._repository.abort(model)

    def unload(self, model: str) -> Report:
        """Serve nothing under this name."""
        before = self._marks(model)
        return self._counted(self._repository.unload(model), before)

    async def change(self, what: str, model: str) -> Report:
        """Carry out a client's call, as the only process there is."""
        if what == "unload":
            return self.unload(model)
        await asyncio.to_thread(self.prepare, model)
        return self.commit(model)

    def _marks(self, model: str) -> dict[str, str]:
        return {version: one.fingerprint for version, one in self._repository.models[model].versions.items()}

    def _counted(self, change: Change, before: dict[str, str]) -> Report:
        self._metrics.observe_change(change, before)
        return Report.of(change)
