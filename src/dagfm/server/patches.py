"""The call that patches a model while it is served: its body to a file, a process that applies it, then all workers."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from dagfm.errors import DagfmError, InputError, listed
from dagfm.server.answers import Answer, RefusedError, to_json
from dagfm.server.body import Receive, spool_body
from dagfm.server.call import Call
from dagfm.server.changes import Control, Report
from dagfm.server.metrics import Metrics
from dagfm.server.models import without_paths
from dagfm.server.patching import Outcome, Task
from dagfm.server.placing import beside, copy_beside, exchange, workplace
from dagfm.server.repository import Repository
from dagfm.server.settings import ONE_THREAD, Settings
from dagfm.server.staged import Staged
from dagfm.serving.patches.container import Contents, PatchReader

log = logging.getLogger(__name__)

_LONGEST = 600.0
"""Seconds that applying a patch may take."""


class Patches:
    """``POST /v2/repository/models/NAME/patch``, one at a time in each worker."""

    def __init__(self, settings: Settings, repository: Repository, metrics: Metrics, control: Control) -> None:
        self._settings, self._repository = settings, repository
        self._metrics, self._control = metrics, control
        self._turn = asyncio.Lock()

    async def patch(self, call: Call, name: str, receive: Receive) -> Answer:
        """Patch the version of the model ``name`` that the patch in the body is for. Raises RefusedError."""
        if not self._settings.patches:
            raise RefusedError(403, "this server takes no patches: it has no token that clients would need", close=True)
        if b"content-encoding" in call.headers:
            raise RefusedError(415, "a patch is compressed as it is; send it without Content-Encoding", close=True)
        limits = self._settings.limits
        try:
            async with asyncio.timeout(limits.seconds):
                await self._turn.acquire()
        except TimeoutError:
            again = [(b"retry-after", b"1")]
            raise RefusedError(429, "another patch is being applied", close=True, headers=again) from None
        folder = workplace(self._settings.folder)
        try:
            await spool_body(receive, call, limits, folder / "patch")
            return await self._patched(name, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self._turn.release()

    async def _patched(self, name: str, folder: Path) -> Answer:
        started, patch = time.perf_counter(), folder / "patch"
        try:
            contents = await asyncio.to_thread(_contents, patch)
            mark, marks = contents.result[:12], self._marks(name)
            fresh: tuple[str, ...] = ()
            if mark not in marks:  # else a client asks again that did not get its answer
                fresh = (await self._changed(name, patch, contents.base[:12], mark)).fresh
        except (RefusedError, DagfmError) as error:
            log.warning("model %s: patch refused: %s", name, error)
            raise
        durable = any(self._repository.place(name, version, mark) is not None for version in self._marks(name).values())
        log.info(
            "model %s: patched to %s in %.1f s%s", name, mark, time.perf_counter() - started,
            "" if durable else "; the bundle at its path is the old one, which the next start will serve",
        )  # fmt: skip
        versions = tuple(self._repository.models[name].versions)
        return Answer(to_json({"name": name, "versions": versions, "loaded": fresh, "durable": durable}))

    def _marks(self, name: str) -> dict[str, str]:
        """The versions that are served, by their fingerprints."""
        return {one.fingerprint: version for version, one in self._repository.models[name].versions.items()}

    async def _changed(self, name: str, patch: Path, base: str, mark: str) -> Report:
        """Have all workers serve what the patch makes of the bundle ``base``. Raises RefusedError where they do not."""
        marks = self._marks(name)
        if base not in marks:
            served = listed(marks) or "nothing"
            raise RefusedError(409, f"the patch is for the bundle {base}, but model '{name}' serves {served}")
        version = marks[base]
        bundle = self._repository.source(name, version, base)
        if bundle is None:
            raise RefusedError(409, f"another bundle than {base}, which is served, lies at the model's path")
        copied = self._settings.copies is not None
        result = patch.with_name("result") if copied else beside(bundle)
        try:
            outcome = await asyncio.to_thread(_outcome, Task(str(patch), str(bundle), str(result)))
            if outcome.refused:
                self._metrics.reloads.labels(name, "refused").inc()
                raise RefusedError(outcome.status, outcome.refused)
            if copied:
                report = await self._adopted(name, Staged(version, base, mark, str(result)))
            else:
                report = await self._replaced(name, result, bundle, base, mark)
        finally:
            await asyncio.to_thread(shutil.rmtree, result, ignore_errors=True)
        if mark not in report.marks:
            told = "; ".join(report.failures.values()) or "workers found different bundles"
            raise RefusedError(400 if base in report.marks else 409, told)
        return report

    async def _adopted(self, name: str, staged: Staged) -> Report:
        """Serve it from a private copy, and have another take the older bundle's place where that may be written."""
        target = self._repository.place(name, staged.version, staged.base)
        fresh = None if target is None else await asyncio.to_thread(copy_beside, Path(staged.folder), target)
        if fresh is None:
            return await self._control.change("adopt", name, staged)
        try:
            staged = msgspec.structs.replace(staged, fresh=str(fresh), target=str(target))
            return await self._control.change("adopt", name, staged)
        finally:
            await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)

    async def _replaced(self, name: str, fresh: Path, target: Path, base: str, mark: str) -> Report:
        """Put it in the older bundle's place and load it, as bundles are served where they lie; undo it otherwise."""
        old = await asyncio.to_thread(exchange, fresh, target, base)
        if old is None:
            raise RefusedError(409, "the bundle at the model's path cannot be replaced")
        try:
            report = await self._control.change("load", name)
            if mark not in report.marks:
                target.rename(fresh)
                old.rename(target)
            return report
        finally:
            await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)


def _contents(patch: Path) -> Contents:
    """What a patch is for. Raises RefusedError (400) where it is none or is damaged."""
    try:
        with patch.open("rb") as file:
            return PatchReader(file, patch).contents
    except InputError as error:
        raise RefusedError(400, without_paths(error, {patch: "body"})) from None


def _outcome(task: Task) -> Outcome:
    """What a process of its own makes of the patch."""
    command = [sys.executable, "-m", "dagfm.server.patching"]
    environment = {**ONE_THREAD, **os.environ}
    pipe = subprocess.PIPE
    # Nothing is held back: what a process that has ended did not take would be an error once more at the close.
    with subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            process.wait(_LONGEST)
            return msgspec.json.decode(process.stdout.read(), type=Outcome)
        except subprocess.TimeoutExpired:
            return Outcome(status=400, refused=f"it cannot be applied within {_LONGEST:g} seconds")
        except (OSError, msgspec.DecodeError):
            return Outcome(status=400, refused="it cannot be applied; the server's log says why")
        finally:
            process.kill()
