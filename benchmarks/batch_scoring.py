"""Times batch scoring from Parquet to Parquet on one core, beside polars with ONNX Runtime if installed.

``OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 python benchmarks/batch_scoring.py``

Untrained students of string fields, D 16,
depth 3, inner messages, a million ids. Rows are drawn uniformly, so that all of the table is equally far away, and
written by polars as it writes by default. What ``dagfm predict`` does is timed as a whole, then its steps one after the
other. The rival makes ids of the same texts by polars' Enum and scores batches with the same bundle, exported. Rates
are per second of processor time, and by the clock. Memory is that of processes that score a short and a long file.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from scoring import Model

from dagfm.batch.outputs import Parquet
from dagfm.batch.predict import Task, predict_file
from dagfm.config.files import FileOptions
from dagfm.data.log import open_log
from dagfm.progress import LoggedProgress
from dagfm.serving.bundle import write_bundle
from dagfm.serving.scorer import load

GOALS = {39: 200_000, 7: 600_000}
"""Rows a second of one core, by the number of fields."""
STEPS = ("reading", "encoding", "scoring", "writing")
BATCH = 1 << 17
TIMES = 8
"""How many times as long the long file is."""

PEAK = """
import sys, threading, time
from pathlib import Path
from dagfm.batch.predict import Task, predict_file
from dagfm.config.files import FileOptions
from dagfm.progress import LoggedProgress

peak, over = 0, False
def watch():
    global peak
    while not over:
        status = Path("/proc/self/status").read_text()
        peak = max(peak, int(status.partition("RssAnon:")[2].split()[0]))
        time.sleep(0.005)

watcher = threading.Thread(target=watch)
watcher.start()
task = Task(Path(sys.argv[1]), sys.argv[2], FileOptions(), {}, ())
predict_file(task, Path(sys.argv[3]), LoggedProgress(), print)
over = True
watcher.join()
print(peak)
"""


def files(folder: Path, fields: int, rows: int, ids: int) -> tuple[Path, Path]:
    """A bundle and a file of raw rows."""
    model = Model("inner", "none", argparse.Namespace(fields=fields, size=16, depth=3, ids=ids, candidate=2))
    write_bundle(folder / "bundle", model.scorer.bundle)
    tokens = pl.Series(model.tokens)
    drawn = {f"f{node}": tokens.gather(model.draw.integers(0, model.each, rows)) for node in range(fields)}
    pl.DataFrame(drawn).write_parquet(folder / "rows.parquet")
    return folder / "bundle", folder / "rows.parquet"


def predict(bundle: Path, rows: Path, output: Path) -> None:
    """What ``dagfm predict`` does, the interpreter's start apart."""
    predict_file(Task(bundle, str(rows), FileOptions(), {}, ()), output, LoggedProgress(), print)


def steps(bundle: Path, rows: Path, folder: Path) -> dict[str, float]:
    """Seconds of each step."""
    scorer, form, spent = load(bundle), Parquet(), dict.fromkeys(STEPS, 0.0)

    def timed(step: str, work: Callable[[], Any]) -> Any:
        start = time.process_time()
        result = work()
        spent[step] += time.process_time() - start
        return result

    log = open_log((str(rows),), FileOptions(), {}, folder)
    tables: Iterator[pa.Table] = log.batches(list(scorer.schema.columns), BATCH)
    parts: list[Path] = []
    while (table := timed("reading", lambda: next(tables, None))) is not None:
        encoded = timed("encoding", lambda table=table: scorer.encode(table))
        found = np.empty(len(table), np.float32)
        for start in range(0, len(table), 8192):
            chunk = np.arange(start, min(start + 8192, len(table)))
            found[chunk] = timed("scoring", lambda chunk=chunk, all=encoded: scorer.score_encoded(all.take(chunk)))
        parts.append(folder / f"{len(parts)}.parquet")
        scores = pa.table({"probability": found})
        timed("writing", lambda scores=scores: form.write(scores, parts[-1], first=False))
    timed("writing", lambda: form.join(parts, folder / "joined.parquet"))
    return spent


class Rival:
    """polars for the ids, ONNX Runtime for the scores."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        onnxruntime, onnx = import_module("onnxruntime"), import_module("dagfm.serving.onnx")
        onnx.export(bundle, folder / "model.onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(folder / "model.onnx", options)
        scorer = load(bundle)
        self.kinds = {name: pl.Enum(one.tokens) for name, one in scorer.bundle.encoder.vocabularies.items()}

    def predict(self, rows: Path, output: Path) -> None:
        """Parquet to Parquet."""
        writer = pq.ParquetWriter(output, pa.schema({"probability": pa.float32()}))
        with writer, pq.ParquetFile(rows) as file:
            for batch in file.iter_batches(8192):
                frame = pl.from_arrow(batch)
                ids = [frame[name].cast(kind, strict=False).to_physical() for name, kind in self.kinds.items()]
                tokens = np.stack([one.cast(pl.Int64).to_numpy() + 2 for one in ids], axis=1)
                writer.write_table(pa.table({"probability": self.session.run(None, {"tokens": tokens})[0]}))


def peak(bundle: Path, rows: Path, output: Path) -> float:
    """Anonymous memory at its highest, in MB."""
    command = [sys.executable, "-c", PEAK, str(bundle), str(rows), str(output)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 1e3


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """Of the processor, and by the clock."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.process_time() - processor, time.perf_counter() - clock


def measure(folder: Path, fields: int, args: argparse.Namespace) -> None:
    rows = args.rows * (1 if fields > 20 else 3)
    bundle, file = files(folder, fields, rows, args.ids)
    rival = Rival(bundle, folder) if find_spec("onnxruntime") and find_spec("onnx") and not args.alone else None
    output, ours, theirs = folder / "scores.parquet", [], []
    spent: list[dict[str, float]] = []
    for _ in range(args.rounds):
        ours.append(seconds(lambda: predict(bundle, file, output)))
        spent.append(steps(bundle, file, folder))
        if rival is not None:
            theirs.append(seconds(lambda: rival.predict(file, folder / "rival.parquet")))
    best = min(spent, key=lambda one: sum(one.values()))
    shares = "".join(f"{best[step] / sum(best.values()):10.0%}" for step in STEPS)
    processor, clock = (rows / min(one) for one in zip(*ours, strict=True))
    told = f"{min(theirs)[0] / min(ours)[0]:8.1f}x" if theirs else "        -"
    goal = processor / GOALS.get(fields, processor)
    print(f"{fields:6}{rows:12,}{processor:12,.0f}{clock:12,.0f}{goal:8.2f}{shares}{told}", flush=True)
    if theirs:
        one, other = (pl.read_parquet(path)["probability"] for path in (output, folder / "rival.parquet"))
        assert (one - other).abs().max() < 1e-5, "the rival scores other rows"


def memory(folder: Path, args: argparse.Namespace) -> None:
    """Of a file, and of one that holds its rows several times."""
    bundle, file = files(folder, 39, args.rows, args.ids)
    table, longer = pq.read_table(file), folder / "longer.parquet"
    with pq.ParquetWriter(longer, table.schema) as writer:
        for _ in range(TIMES):
            writer.write_table(table, row_group_size=BATCH)
    found = [peak(bundle, path, folder / "scores.parquet") for path in (file, longer)]
    told = f"{found[0]:,.0f} MB at {args.rows:,} rows, {found[1]:,.0f} MB at {TIMES * args.rows:,}"
    print(f"\nanonymous memory at 39 fields, at its highest: {told}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, nargs="*", default=[39, 7])
    parser.add_argument("--rows", type=int, default=400_000, help="of many fields; three times as many of few")
    parser.add_argument("--ids", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--rounds", type=int, default=3, help="turns; the fastest counts")
    parser.add_argument("--alone", action="store_true", help="without the rival")
    parser.add_argument("--no-memory", action="store_true")
    args = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    columns = "".join(f"{step:>10}" for step in STEPS)
    print(f"{'fields':>6}{'rows':>12}{'rows/s':>12}{'by clock':>12}{'of goal':>8}{columns}{'rival':>9}")
    for fields in args.fields:
        with tempfile.TemporaryDirectory() as folder:
            measure(Path(folder), fields, args)
    if not args.no_memory and Path("/proc/self/status").exists():
        with tempfile.TemporaryDirectory() as folder:
            memory(Path(folder), args)


if __name__ == "__main__":
    main()
