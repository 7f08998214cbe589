"""How far what is asked lies from what the bundle was made on: a fading window of sampled requests, of all workers."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from dagfm.encoding.rows import Float32, Rows
from dagfm.metrics import Float64, Shift, shift
from dagfm.server.models import Served
from dagfm.serving.reference import Numbers, Reference, Values, tally

HALF_LIFE = 3600.0
"""Seconds after which a sampled row counts half."""
LEAST = 100.0
"""Rows, those that have faded counted as what they are, below which nothing is told."""


@dataclass(frozen=True)
class Part:
    """One set of bins of a model: what it was, and what it is now."""

    field: str | None
    """None of the scores."""
    reference: Values | Numbers
    current: Float64
    """(bins,) faded counts."""

    @property
    def shares(self) -> Float64:
        """(bins,) of what is asked now; zeros while that is nothing."""
        shares: Float64 = self.current / max(float(self.current.sum()), 1e-12)
        return shares

    @cached_property
    def shift(self) -> Shift:
        """How far they are apart."""
        return shift(self.current, np.array(self.reference.shares) * self.reference.cells)

    @property
    def drift(self) -> float:
        """The stability index without what chance alone makes of it; 0 is none."""
        return max(0.0, self.shift.psi - self.shift.by_chance)

    @property
    def can_be_told(self) -> bool:
        """Whether there are cells on either side."""
        return self.reference.cells > 0 and float(self.current.sum()) > 0


@dataclass(frozen=True)
class Drifted:
    """The window of a version."""

    reference: Reference
    rows: float
    parts: tuple[Part, ...]
    """The scores first; of a field with several numbers one for each."""

    @property
    def enough(self) -> bool:
        """Whether there are rows enough to tell."""
        return self.rows >= LEAST

    @cached_property
    def by_field(self) -> Mapping[str, list[Part]]:
        """The parts of each field, in the schema's order."""
        found: dict[str, list[Part]] = {}
        for part in self.parts:
            if part.field is not None and part.can_be_told:
                found.setdefault(part.field, []).append(part)
        return found


class Drift:
    """The windows of this process' versions; of all workers where they share a folder."""

    def __init__(self, folder: Path | None = None) -> None:
        """``folder``: where the windows of every worker lie."""
        self._folder = folder
        self._windows: weakref.WeakKeyDictionary[Served, _Window] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def observe(self, served: Served, rows: Rows, scores: Float32) -> None:
        """Count sampled rows (n), encoded, and their probabilities (n,); nothing of a bundle without a reference."""
        reference = served.scorer.bundle.reference
        if reference is None:
            return
        counts = np.append(tally(reference, served.scorer.schema, rows, scores), float(len(rows)))
        with self._lock:
            window = self._windows.get(served)
            if window is None:
                window = self._windows[served] = _Window(len(counts))
                if self._folder is not None:
                    # Of a version that is gone nothing stays.
                    weakref.finalize(served, self._file(served).unlink, missing_ok=True).atexit = False
            window.add(counts)
            if self._folder is not None:
                window.write(self._file(served))

    def of(self, served: Served) -> Drifted | None:
        """What there is of a version now; None where its bundle carries no reference."""
        reference = served.scorer.bundle.reference
        if reference is None:
            return None
        size = sum(len(part.shares) for _, part in reference.parts()) + 1
        total = np.zeros(size)
        for counts in self._counts(served, size):
            total += counts
        split = reference.split(total[:-1])
        parts = [Part(name, part, now) for (name, part), now in zip(reference.parts(), split, strict=True)]
        return Drifted(reference, float(total[-1]), tuple(parts))

    def _counts(self, served: Served, size: int) -> Iterator[Float64]:
        if self._folder is None:
            with self._lock:
                window = self._windows.get(served)
                if window is not None:
                    yield window.faded()
            return
        for path in self._folder.glob(f"{_name(served)}+*.drift"):
            try:
                data = np.frombuffer(path.read_bytes(), np.float64)
            except FileNotFoundError:  # its worker has just unloaded the version
                continue
            if len(data) == size + 1:
                yield data[1:] * _faded(time.time() - data[0])

    def _file(self, served: Served) -> Path:
        assert self._folder is not None
        return self._folder / f"{_name(served)}+{os.getpid()}.drift"


class _Window:
    """Counts that fade with time."""

    def __init__(self, size: int) -> None:
        self._counts, self._when = np.zeros(size), time.time()

    def faded(self) -> Float64:
        """The counts as they are now."""
        return self._counts * _faded(time.time() - self._when)

    def add(self, counts: Float64) -> None:
        """Let what is there fade, and add ``counts``."""
        self._counts, self._when = self.faded() + counts, time.time()

    def write(self, path: Path) -> None:
        """Put the window where other workers read it, at once."""
        fresh = path.with_suffix(".tmp")
        fresh.write_bytes(np.append(self._when, self._counts).tobytes())
        fresh.replace(path)


def _faded(seconds: float) -> float:
    return float(0.5 ** (max(seconds, 0.0) / HALF_LIFE))


def _name(served: Served) -> str:
    """What a file is called after; no name of a model holds a plus."""
    return f"{served.model}+{served.version}+{served.fingerprint}"
