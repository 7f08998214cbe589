"""The call that patches a model while it is served: its body to a file, a process that applies it, then all workers."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from dagfm.server.answers import Answer, RefusedError, to_json
from dagfm.server.body import Receive, spool_body
from dagfm.server.call import Call
from dagfm.server.changes import Control, Report
from dagfm.server.metrics import Metrics
from dagfm.server.patching import Choice, Outcome, Task
from dagfm.server.placing import copy_beside, exchange
from dagfm.server.repository import Repository
from dagfm.server.settings import ONE_THREAD, Settings
from dagfm.server.staged import Staged

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
            raise RefusedError(403, "this server takes no patches; it does where clients need a token", close=True)
        if b"content-encoding" in call.headers:
            raise RefusedError(415, "a patch is compressed as it is; send it without Content-Encoding", close=True)
        limits = self._settings.limits
        try:
            async with asyncio.timeout(limits.seconds):
                await self._turn.acquire()
        except TimeoutError:
            again = [(b"retry-after", b"1")]
            raise RefusedError(429, "another patch is being applied", close=True, headers=again) from None
        folder = Path(tempfile.mkdtemp(prefix=".patch-", dir=self._settings.copies))
        try:
            await spool_body(receive, call, limits, folder / "patch")
            return await self._patched(name, folder)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
            self._turn.release()

    async def _patched(self, name: str, folder: Path) -> Answer:
        started = time.perf_counter()
        choices = self._repository.choices(name, folder)
        try:
            outcome = await asyncio.to_thread(_outcome, Task(str(folder / "patch"), name, choices))
            if outcome.refused:
                self._metrics.reloads.labels(name, "refused").inc()
                log.warning("model %s: patch refused: %s", name, outcome.refused)
                raise RefusedError(outcome.status, outcome.refused)
            fresh: tuple[str, ...] = ()
            if outcome.choice is not None:  # else a client asks again that did not get its answer
                change = self._adopted if self._settings.copies is not None else self._replaced
                report = await change(name, outcome.choice, outcome.mark)
                if outcome.mark not in report.marks:
                    gone = outcome.choice.mark not in report.marks
                    told = "; ".join(report.failures.values()) or "workers found different bundles"
                    raise RefusedError(409 if gone else 400, told)
                fresh = report.fresh
        finally:
            for choice in choices:
                await asyncio.to_thread(shutil.rmtree, choice.result, ignore_errors=True)
        served = self._repository.models[name].versions
        durable = any(self._repository.place(name, version, outcome.mark) is not None for version in served)
        log.info(
            "model %s: patched to %s in %.1f s%s", name, outcome.mark, time.perf_counter() - started,
            "" if durable else "; the bundle at its path is the old one, which the next start will serve",
        )  # fmt: skip
        return Answer(to_json({"name": name, "versions": list(served), "loaded": fresh, "durable": durable}))

    async def _adopted(self, name: str, choice: Choice, mark: str) -> Report:
        """Serve it from a private copy, and have another take the older bundle's place where that may be written."""
        target = self._repository.place(name, choice.version, choice.mark)
        fresh = None if target is None else await asyncio.to_thread(copy_beside, Path(choice.result), target)
        places = {} if fresh is None else {"fresh": str(fresh), "target": str(target)}
        try:
            return await self._control.change(
                "adopt", name, Staged(choice.version, choice.mark, mark, choice.result, **places)
            )
        finally:
            if fresh is not None:
                await asyncio.to_thread(shutil.rmtree, fresh, ignore_errors=True)

    async def _replaced(self, name: str, choice: Choice, mark: str) -> Report:
        """Put it in the older bundle's place and load it, as bundles are served where they lie; undo it otherwise."""
        fresh, target = Path(choice.result), Path(choice.bundle)
        old = await asyncio.to_thread(exchange, fresh, target, choice.mark)
        if old is None:
            raise RefusedError(409, "the bundle at the model's path cannot be replaced, or is not what is served")
        try:
            report = await self._control.change("load", name)
            if mark not in report.marks:
                target.rename(fresh)
                old.rename(target)
            return report
        finally:
            await asyncio.to_thread(shutil.rmtree, old, ignore_errors=True)


def _outcome(task: Task) -> Outcome:
    """What a process of its own makes of the patch."""
    command = [sys.executable, "-m", "dagfm.server.patching"]
    environment = {**ONE_THREAD, **os.environ}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(msgspec.json.encode(task) + b"\n")
            process.stdin.flush()
            process.wait(_LONGEST)
            return msgspec.json.decode(process.stdout.read(), type=Outcome)
        except subprocess.TimeoutExpired:
            return Outcome(status=400, refused=f"it cannot be applied within {_LONGEST:g} seconds")
        except (OSError, msgspec.DecodeError):
            return Outcome(status=400, refused="it cannot be applied; the server's log says why")
        finally:
            process.kill()
