"""Starts and memory of ``dagfm serve`` with a large bundle: ``python benchmarks/serving_memory.py``.

An untrained student of ten fields with ``--ids`` tokens together, D 16, depth 3. How long ``dagfm.load`` takes in a new
process, its first score included, and ``dagfm serve`` until it answers; then the memory (PSS: what processes share is
counted once) of a server with one and with ten workers, that of the process they are forked from included, after the
same requests, which read every part of the bundle.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import polars as pl
from serving import Connection, free_port, post, running

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.schema import Field, Schema
from dagfm.serving.bundle import Bundle, write_bundle
from dagfm.serving.golden import with_golden

FIELDS, SIZE, DEPTH = 10, 16, 3
LOAD = """
import sys, time
import dagfm, dagfm.serving.scorer
start = time.perf_counter()
scorer = dagfm.load(sys.argv[1])
scorer.predict([dict.fromkeys(scorer.schema.columns)])
print(time.perf_counter() - start)
"""


def bundle_of(directory: Path, ids: int) -> Path:
    """An untrained bundle."""
    draw, each = np.random.default_rng(0), ids // FIELDS
    schema = Schema(fields=tuple(Field(name=f"f{place}") for place in range(FIELDS)))
    counts = pl.Series(np.arange(each, 0, -1))
    vocabularies = {name: Vocabulary(token(name, np.arange(each)), counts) for name in schema.names}
    encoder = Encoder(schema, vocabularies)
    pairs = FIELDS * (FIELDS + 1) // 2
    shapes = {"p": (DEPTH, pairs, SIZE), "head.weight": (1, FIELDS * (DEPTH + 1)), "head.bias": (1,)}
    shapes["connect_layer"] = (pairs,)
    arrays = {f"network.{name}": (draw.normal(size=shape) / 6).astype(np.float32) for name, shape in shapes.items()}
    arrays["embedding.weight"] = draw.standard_normal((encoder.spans.total, SIZE), np.float32) / np.float32(10)
    network = {"type": "inner", "depth": DEPTH, "connect": "causal"}
    write_bundle(directory, with_golden(Bundle(encoder, network, arrays, {"scale": 1.0, "shift": 0.0}, {})))
    return directory


def token(name: str, ids: np.ndarray) -> pl.Series:
    return pl.select(pl.lit(f"{name}_") + pl.Series(ids).cast(pl.String)).to_series()


def bodies(ids: int, count: int) -> list[bytes]:
    """Requests of 5,000 rows whose tokens are all over the vocabularies."""
    draw, found = np.random.default_rng(1), []
    for _ in range(count):
        columns = {
            f"f{place}": token(f"f{place}", draw.integers(0, ids // FIELDS, 5000)).to_list() for place in range(FIELDS)
        }
        found.append(post("/v1/models/m:predict", json.dumps({"rows": columns}).encode()))
    return found


def children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def pss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def serve(bundle: Path, workers: int, port: int, *more: str) -> list[str]:
    quiet = ["--no-access-log", "--drain", "0", "--port", str(port), "--workers", str(workers), "--poll", "0"]
    return [sys.executable, "-m", "dagfm", "-q", "serve", f"m={bundle}", *quiet, *more]


def memory(bundle: Path, workers: int, requests: list[bytes]) -> float:
    """MB of all processes after each worker has answered about as much as one alone; the system spreads connections."""
    port = free_port()
    with running(serve(bundle, workers, port, "--no-copy"), port) as process:
        while len(children(process.pid)) < workers:
            time.sleep(0.1)
        time.sleep(0.2 * workers)
        for _ in range(workers):
            for request in requests:
                Connection(port)(request)
        time.sleep(2)
        return sum(map(pss, [process.pid, *children(process.pid)])) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=10_000_000)
    parser.add_argument("--requests", type=int, default=60, help="of 5,000 rows, for each worker")
    parser.add_argument("--workers", type=int, default=10)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="serving-") as place:
        bundle = bundle_of(Path(place) / "bundle", options.ids)
        size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
        print(f"{options.ids:,} ids, {size / 1e6:,.0f} MB")
        loads = [float(subprocess.check_output([sys.executable, "-c", LOAD, bundle])) for _ in range(5)]
        print(f"dagfm.load and a score: {min(loads):.2f} s at best, {sorted(loads)[2]:.2f} s in the middle of five")
        for more in ((), ("--no-copy",)):
            taken = []
            for _ in range(3):
                port, start = free_port(), time.perf_counter()
                with running(serve(bundle, 1, port, *more), port):
                    Connection(port)(post("/v1/models/m:predict", b'{"rows": []}'))
                    taken.append(time.perf_counter() - start)
            print(f"dagfm serve {' '.join(more)} until it answers: {min(taken):.2f} s at best of three")
        requests = bodies(options.ids, options.requests)
        one, many = (memory(bundle, workers, requests) for workers in (1, options.workers))
        print(f"memory with one worker: {one:,.0f} MB, with {options.workers}: {many:,.0f} MB, {many / one:.2f} times")


if __name__ == "__main__":
    main()
