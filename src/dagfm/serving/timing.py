"""How fast bundles score, measured side by side: ``python -m dagfm.serving.timing ROWS.npz BUNDLE ...`` prints JSON.

A process of its own, because NumPy decides at its start how many threads it takes, and a trainer holds torch. Measured
is what differs between students of one schema, from encoded rows to logits: look-up and network.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from dagfm.encoding.rows import Ragged, Rows
from dagfm.errors import DagfmError
from dagfm.serving.scorer import CHUNK, Scorer, load

_REPEATS = 9
_SINGLE = 100
"""Rows that are scored one by one, each time."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def time_bundles(bundles: Sequence[Path], rows: Rows) -> list[dict[str, float]]:
    """Of each bundle, ``microseconds_per_row`` one by one and ``rows_per_second`` in a batch of ``rows``.

    On one thread, medians of repeats in turn, so that a busy moment hits all alike; of ``rows`` the first are used.
    """
    sample = first_rows(rows)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.npz"
        _write(file, sample)
        command = [sys.executable, "-m", __name__, str(file), *map(str, bundles)]
        environment = {**os.environ, **dict.fromkeys(_THREADS, "1"), "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DagfmError(f"timing the bundles failed: {done.stderr.strip()}")
    found: list[dict[str, float]] = json.loads(done.stdout)
    return found


def first_rows(rows: Rows) -> Rows:
    """What bundles are timed on: at most ``CHUNK`` of them, in memory."""
    return rows.take(np.arange(min(len(rows), CHUNK)))


def measure(scorers: Sequence[Scorer], rows: Rows) -> list[dict[str, float]]:
    """The measurement itself, in this process."""
    singles = [rows.take(np.array([index % len(rows)])) for index in range(_SINGLE)]

    def one_by_one(scorer: Scorer) -> None:
        for row in singles:
            scorer.score_encoded(row)

    alone = _medians([partial(one_by_one, scorer) for scorer in scorers])
    together = _medians([partial(scorer.score_encoded, rows) for scorer in scorers])
    return [
        {"microseconds_per_row": 1e6 * single / _SINGLE, "rows_per_second": len(rows) / batch}
        for single, batch in zip(alone, together, strict=True)
    ]


def _medians(works: Sequence[Callable[[], object]]) -> list[float]:
    """Seconds that each takes."""
    seconds: list[list[float]] = [[] for _ in works]
    for work in works:
        work()
    for _ in range(_REPEATS):
        for work, found in zip(works, seconds, strict=True):
            started = time.perf_counter()
            work()
            found.append(time.perf_counter() - started)
    return [median(found) for found in seconds]


def _write(file: Path, rows: Rows) -> None:
    sequences = {
        f"{name}{index}": getattr(sequence, name)
        for index, sequence in enumerate(rows.sequences)
        for name in ("offsets", "values")
    }
    np.savez(file, tokens=rows.tokens, floats=rows.floats, **sequences)


def _read(file: Path) -> Rows:
    with np.load(file, allow_pickle=False) as arrays:
        count = sum(name.startswith("offsets") for name in arrays)
        sequences = [Ragged(arrays[f"offsets{index}"], arrays[f"values{index}"]) for index in range(count)]
        return Rows(arrays["tokens"], arrays["floats"], tuple(sequences))


if __name__ == "__main__":
    print(json.dumps(measure([load(path) for path in sys.argv[2:]], _read(Path(sys.argv[1])))))
