"""What does it cost to find the click rates that a log repays, and what does it cost to serve them?

    python benchmarks/memorize.py
    python benchmarks/memorize.py --rows 125_000 --ids 30_000 --rounds 3

The search of `memorize: auto` up to its trials, on a simulated log with a planted pair, in a process of its own: the
networks without memory, then the keys. Then a row's way from a table or a dict to its probability, for a student with
five memorised pairs of the fields with most ids and for one without, in turns. Goals, at 39 fields and 1M training rows
on two cores: the search takes at most 5 minutes and 2 GB; a row with five pairs costs at most 1.5 times one without.
Not a goal: accuracy; the students that are timed are untrained.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
from preparation import DAGFM
from training import Silent

PAIRS = 5
TABLE, SINGLE = 1000, 100
"""Rows of a table that is scored at once, and how many are scored one by one."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_250_000, help="four fifths of them are training rows")
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--ids", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=15, help="of scoring")
    parser.add_argument("--only", choices=["search", "serve"])
    parser.add_argument("--trial", action="store_true", help="after the search, also train a network of a trial")
    parser.add_argument("--worker", nargs=2, metavar=("LOG", "HOME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(searched_once(*map(Path, options.worker), options.trial)))
        return
    with tempfile.TemporaryDirectory(prefix="memorize-") as scratch:
        log = Path(scratch) / "log"
        shape = ["--rows", options.rows, "--fields", options.fields, "--ids", options.ids]
        what = [*map(str, shape), "--floats", "0", "--pair-effect", "1", "-o", str(log)]
        subprocess.run([*DAGFM, "--quiet", "data", "simulate", *what], check=True, stdout=subprocess.DEVNULL)
        if options.only != "serve":
            search(log, options.trial)
        if options.only != "search":
            serve(log, options.rounds)


def search(log: Path, trial: bool) -> None:
    """The search, in a process that finds the rows prepared."""
    subprocess.run(
        [*DAGFM, "--quiet", "data", "prepare", str(log / "dagfm.yaml")], check=True, stdout=subprocess.DEVNULL
    )
    with tempfile.TemporaryDirectory(prefix="memorize-") as home:
        command = [sys.executable, __file__, "--worker", str(log), home, *(["--trial"] if trial else [])]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    found = ", ".join(told["found"]) or "none"
    print(f"{told['rows']:,} training rows, {told['keys']:,} keys looked at, found: {found}")
    print(f"{'':24}{'seconds':>10}{'processor s':>13}{'peak MB':>10}")
    for name, part in told["parts"].items():
        print(f"{name:24}{part['seconds']:10.1f}{part['processor']:13.1f}{part['peak']:10,.0f}")
    both = told["parts"].values()
    seconds, peak = sum(part["seconds"] for part in both), max(part["peak"] for part in both)
    print(f"{'both':24}{seconds:10.1f}{sum(part['processor'] for part in both):13.1f}{peak:10,.0f}")
    print("(goal: at most 300 s and 2,000 MB)", flush=True)
    if trial:
        print(f"training of a trial's network, of which up to four follow: {told['trial']:.1f} s")


class Parts(Silent):
    """Seconds, processor seconds and peak of anonymous memory before and after the search of keys starts."""

    def __init__(self) -> None:
        self.found: dict[str, dict[str, float]] = {}
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._watched, daemon=True)
        self._begin("networks without memory")
        self._watch.start()

    def start(self, title: str, rows: int, done: int = 0) -> None:
        if title == "searching keys":
            self.end()
            self._begin("search")

    def end(self) -> None:
        """The part that runs is over."""
        processor, now = _processor(), time.perf_counter()
        self.found[self._name] |= {"seconds": now - self._started[0], "processor": processor - self._started[1]}

    def close(self) -> None:
        """Stop watching."""
        self.end()
        self._over.set()
        self._watch.join()

    def _begin(self, name: str) -> None:
        self._name = name
        self.found[name] = {"peak": 0.0}
        self._started = time.perf_counter(), _processor()

    def _watched(self) -> None:
        while not self._over.wait(0.02):
            lines = Path("/proc/self/status").read_text().splitlines()
            held = next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))
            part = self.found[self._name]
            part["peak"] = max(part["peak"], held)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def searched_once(log: Path, home: Path, trial: bool) -> dict[str, Any]:
    """What `memorize: auto` does before its trials, and the trial without memorised fields."""
    import torch  # noqa: PLC0415 - the other processes need none

    from dagfm.config import load_config  # noqa: PLC0415
    from dagfm.data.prepare import prepare  # noqa: PLC0415
    from dagfm.memorize.choice import proved, searched  # noqa: PLC0415
    from dagfm.training.allocator import keep_freed_memory  # noqa: PLC0415

    config = load_config(log / "dagfm.yaml", ["memorize=auto"])
    torch.set_num_threads(config.training.threads)
    prepared = prepare(config, log)
    keep_freed_memory()
    parts = Parts()
    device = torch.device("cpu")
    found = searched(config, prepared, home, device, parts)
    parts.close()
    tried = proved(config, prepared, lambda _: prepared, [], home, device, Silent())[0] if trial else None
    return {
        "rows": len(prepared.train),
        "keys": len(found),
        "found": [" x ".join(one.key) for one in found if one.refused is None],
        "parts": parts.found,
        "trial": tried.seconds if tried else None,
    }


def untrained(log: Path, directory: Path, *overrides: str) -> Path:
    """A bundle of the student that ``overrides`` of the log's configuration make, as it is before training."""
    import torch  # noqa: PLC0415

    from dagfm.config import load_config  # noqa: PLC0415
    from dagfm.data.prepare import prepare  # noqa: PLC0415
    from dagfm.nn.dagfm import resolve_connect  # noqa: PLC0415
    from dagfm.serving.bundle import Bundle, write_bundle  # noqa: PLC0415
    from dagfm.training.workshop import Workshop  # noqa: PLC0415

    config = load_config(log / "dagfm.yaml", overrides)
    prepared = prepare(config, log, progress=Silent())
    student = config.student[0]
    model = Workshop(config, prepared, 1, torch.device("cpu"), Silent()).model(student, "benchmark")
    network = student.definition
    network["connect"] = resolve_connect(network["connect"], prepared.encoder.schema)
    arrays = {name: weights.numpy() for name, weights in model.state_dict().items()}
    write_bundle(directory, Bundle(prepared.encoder, network, arrays, {"scale": 1.0, "shift": 0.0}, {}))
    return directory


def serve(log: Path, rounds: int) -> None:
    """Scoring raw rows with and without memorised pairs, in turns."""
    import dagfm  # noqa: PLC0415 - after the processes of the search

    names = sorted(field.name for field in dagfm.load_config(log / "dagfm.yaml").fields)[-2 * PAIRS :]
    pairs = [[one, other] for one, other in zip(names[::2], names[1::2], strict=True)]
    scorers = {}
    with tempfile.TemporaryDirectory(prefix="memorize-") as bundles:
        for name, memorize in (("without", "none"), ("five pairs", json.dumps(pairs))):
            scorers[name] = dagfm.load(untrained(log, Path(bundles) / name, f"memorize={memorize}"))
    rows_of = scorers["five pairs"].bundle.encoder.source_rows
    fields = [field for field in scorers["five pairs"].schema if field.cross is not None]
    print(f"\ncombinations: {', '.join(f'{rows_of(field):,}' for field in fields)}")
    frame = pl.read_parquet(log / "clicks-*.parquet", n_rows=TABLE)
    rows = frame.head(SINGLE).to_dicts()

    def one_by_one(scorer: Any) -> None:
        for row in rows:
            scorer.predict([row])

    works: dict[str, tuple[int, Callable[[Any], Any]]] = {
        f"tables of {TABLE:,}": (TABLE, lambda scorer: scorer.predict(frame)),
        "dicts, one by one": (SINGLE, one_by_one),
    }
    print(f"{'microseconds a row':24}{'without':>10}{'five pairs':>12}{'ratio':>8}   of processor time")
    for title, (count, work) in works.items():
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in scorers}
        for _ in range(rounds + 1):
            for name, scorer in scorers.items():
                before = time.perf_counter(), time.process_time()
                work(scorer)
                took[name].append((time.perf_counter() - before[0], time.process_time() - before[1]))
        # The first round fills what a scorer keeps.
        wall, processor = ([statistics.median(one[at] for one in took[name][1:]) for name in scorers] for at in (0, 1))
        alone, memorised = (1e6 * one / count for one in wall)
        told = f"{memorised / alone:8.2f}   {processor[1] / processor[0]:.2f}"
        print(f"{title:24}{alone:10.1f}{memorised:12.1f}{told}")
    print("(goal: at most 1.50)")


if __name__ == "__main__":
    main()
