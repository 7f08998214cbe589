"""Loading and unloading in one process: the repository's steps, counted, and told in a form that travels."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from dagfm.server.metrics import Metrics
from dagfm.server.models import Change
from dagfm.server.repository import Repository
from dagfm.server.staged import Staged


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
        failures = {version: change.model.failures[version] for version in change.refused}
        return cls(tuple(change.model.versions), change.fresh, failures, change.model.digest)

    @property
    def marks(self) -> tuple[str, ...]:
        """The fingerprints that are served now."""
        return tuple(pair.partition(":")[2] for pair in self.digest.split())


class Control(Protocol):
    """Whoever carries out the calls of clients that load, unload and patch."""

    async def change(self, what: str, model: str, staged: Staged | None = None) -> Report:
        """``what``: load, unload, or adopt what is ``staged``."""


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

    def adopt(self, model: str, staged: Staged) -> Report:
        """Load a patched bundle beside what is served."""
        return Report.of(self._repository.adopt(model, staged.version, staged.base, staged.mark, Path(staged.folder)))

    def catch_up(self, model: str, current: Mapping[str, str]) -> Report:
        """Serve what the other workers do, which changed while this one started; nothing new where that is gone."""
        if not current:
            return self.unload(model)
        if self._repository.resume(model, current) is not None:
            self.commit(model)
        return Report(digest=self._repository.models[model].digest)

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

    async def change(self, what: str, model: str, staged: Staged | None = None) -> Report:
        """Carry out a client's call, as the only process there is."""
        if what == "unload":
            return self.unload(model)
        assert staged is None, "one process alone has no private copies"
        await asyncio.to_thread(self.prepare, model)
        return self.commit(model)

    def _marks(self, model: str) -> dict[str, str]:
        return {version: one.fingerprint for version, one in self._repository.models[model].versions.items()}

    def _counted(self, change: Change, before: dict[str, str]) -> Report:
        self._metrics.observe_change(change, before)
        return Report.of(change)
