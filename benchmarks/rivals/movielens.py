"""What the rivals on MovieLens 1M share: its encoded rows, our trained student, and the table of a comparison."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from networks import Step, in_turns
from numpy.typing import NDArray

import dagfm
from dagfm.data.dataset import Dataset, Prepared
from dagfm.data.prepare import prepare
from dagfm.encoding.rows import Rows
from dagfm.metrics import auc, logloss
from dagfm.serving.scorer import CHUNK

CONFIG = Path(__file__).parents[2] / "experiments" / "ml-1m" / "dagfm.yaml"
SINGLE = 200
"""Rows that are scored one by one."""


@dataclass(frozen=True)
class Side:
    """One way to score the test rows."""

    name: str
    beside: str
    """What of ours it is compared with: encoded rows, or raw ones."""
    batch: Step
    """Scores all test rows."""
    singles: Step | None
    """Scores the first ``SINGLE`` of them, one by one; None where there is no call for a row in memory."""
    logits: NDArray[np.floating] | None = None
    """(n,) of the test rows."""
    seconds: float | None = None
    """Of training: the processor's for a rival, so that a busy machine takes nothing from it; the clock's for ours."""


class MovieLens:
    """The rows of the experiment's protocol, and a run of ours on them."""

    def __init__(self, data: Path, run: Path) -> None:
        self.path = data.resolve()
        config = dagfm.load_config(CONFIG, [f"data.train={self.path}"])
        self.prepared: Prepared = prepare(config, CONFIG.parent)
        self.scorer = dagfm.load(run)
        self.results: dict[str, Any] = json.loads((run / "results.json").read_text())
        asked, found = (len(self.prepared.train), len(self.prepared.test)), self.results["rows"]
        if asked != (found["train"], found["test"]):
            raise SystemExit(f"--run {run}: trained on {found}, expected train and test rows {asked}")
        self.raw = pl.read_parquet(data, n_rows=len(self.prepared.test))
        """Raw rows, as many as test rows: how long scoring takes depends on how many, not on which."""

    def names(self) -> list[str]:
        """The fields of one id, then the field of genres."""
        return [field.name for field in self.prepared.encoder.schema]

    @cached_property
    def labels(self) -> NDArray[np.floating]:
        """(n,) of the test rows."""
        return np.asarray(self.prepared.test.labels)

    def training(self) -> tuple[float, str]:
        """Seconds of all phases of our run, with the seed that is served, and phase by phase."""
        seed = self.results["served"]["seed"]
        models = [one for one in self.results["models"] if one.get("seed") == seed]
        took = [(f"{one['name']} {one['phase']}", one.get("training_seconds")) for one in models]
        told = [(name, seconds) for name, seconds in took if seconds is not None and "scratch" not in name]
        return sum(seconds for _, seconds in told), ", ".join(f"{name} {seconds:.1f}" for name, seconds in told)

    def ours(self) -> list[Side]:
        """Our student on encoded rows and on raw ones."""
        test, scorer = self.prepared.test.rows, self.scorer
        chunks = [test.take(np.arange(start, min(start + CHUNK, len(test)))) for start in range(0, len(test), CHUNK)]
        rows = [test.take(np.array([index])) for index in range(SINGLE)]
        dicts = self.raw.head(SINGLE).to_dicts()

        def scored() -> NDArray[np.floating]:
            return np.concatenate([scorer.score_encoded(chunk) for chunk in chunks])

        calibration = scorer.bundle.calibration
        logits = calibration["scale"] * scored() + calibration["shift"]
        return [
            Side("dagfm", "encoded", scored, each(scorer.score_encoded, rows), logits, self.training()[0]),
            Side("dagfm", "raw", lambda: scorer.predict(self.raw), each(lambda row: scorer.predict([row]), dicts)),
        ]


def each(score: Callable[[Any], object], rows: Iterable[Any]) -> Step:
    """A step that scores ``rows`` one by one."""

    def step() -> None:
        for row in rows:
            score(row)

    return step


def logits_of(probabilities: NDArray[np.floating]) -> NDArray[np.floating]:
    """What the sigmoid makes ``probabilities`` of, those of 0 and 1 aside."""
    inner = np.clip(np.asarray(probabilities, np.float64), 1e-7, 1 - 1e-7)
    return np.log(inner / (1 - inner))


def lines(part: Dataset, line: Callable[[bool, Sequence[int], Sequence[int]], str], path: Path) -> list[str]:
    """One line of text a row, made from its click, its ids and its genres; also written to ``path``."""
    genres = part.rows.sequences[0]
    items, ends = genres.values.tolist(), genres.offsets.tolist()
    made = [
        line(bool(click), ids, items[ends[row] : ends[row + 1]])
        for row, (click, ids) in enumerate(zip(part.labels.tolist(), part.rows.tokens.tolist(), strict=True))
    ]
    path.write_text("".join(f"{one}\n" for one in made))
    return made


def genres_of(rows: Rows, width: int) -> NDArray[np.float32]:
    """(B, width) how often a row has each genre."""
    genres = rows.sequences[0]
    held = np.zeros((len(rows), width), np.float32)
    np.add.at(held, (np.repeat(np.arange(len(rows)), np.diff(genres.offsets)), genres.values), 1)
    return held


def times(ratio: float) -> str:
    """A ratio in three digits, in a column's width."""
    return f"{f'{ratio:#.3g}'.rstrip('.')}x".rjust(9)


def compare(data: MovieLens, rival: Side, seconds: float) -> None:
    """Measure everybody's scoring in turns, by processor time, and print a table; behind a rival's figure is how many
    times as fast ours is."""
    sides = [*data.ours(), rival]
    batches = in_turns([side.batch for side in sides], seconds, clock=time.process_time)
    speeds = [1e3 * len(data.labels) / batch for batch in batches]
    steps = [side.singles for side in sides if side.singles is not None]
    alone = [1e3 * single / SINGLE for single in in_turns(steps, seconds / 2, clock=time.process_time)]
    print(f"{'':32}{'train s':>9}{'AUC':>9}{'logloss':>9}{'rows/s':>12}{'ours':>9}{'one row, µs':>13}{'ours':>9}")
    for index, side in enumerate(sides):
        mine = [one.beside for one in sides].index(side.beside)
        line = f"{f'{side.name}, {side.beside} rows':32}"
        line += f"{'':9}" if side.seconds is None else f"{side.seconds:9.1f}"
        if side.logits is None:
            line += f"{'':18}"
        else:
            line += f"{auc(data.labels, side.logits):9.4f}{logloss(data.labels, side.logits):9.4f}"
        line += f"{speeds[index]:12,.0f}{times(speeds[mine] / speeds[index])}"
        if side.singles is not None:
            line += f"{alone[index]:13.1f}{times(alone[index] / alone[mine])}"
        print(line)
    print(f"dagfm's training, seconds: {data.training()[1]}", flush=True)


def arguments(description: str) -> argparse.Namespace:
    """The options of a rival on MovieLens 1M."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True, help="what experiments/ml-1m/build.py makes")
    parser.add_argument("--run", type=Path, required=True, help="a run of experiments/ml-1m/dagfm.yaml")
    parser.add_argument("--seconds", type=float, default=5.0, help="of scoring, all sides together")
    return parser.parse_args()
