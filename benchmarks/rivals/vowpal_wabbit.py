"""Vowpal Wabbit, all pairs of fields hashed, beside our student: passes over the training rows, and scoring.

It trains and scores from text, as it is used; the first pass parses it, the others read the cache that it leaves.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from vowpalwabbit import Workspace

from rivals.epochs import beside
from rivals.movielens import SINGLE, MovieLens, Side, arguments, compare, each, lines, logits_of

MODEL = "--loss_function logistic --link logistic --interactions :: -b 22"
PASSES = 3


def text(click: bool, ids: Sequence[int], genres: Sequence[int]) -> str:
    """A namespace a field, called a, b, ..."""
    fields = [*([one] for one in ids), genres]
    spaces = (f"|{chr(ord('a') + at)} {' '.join(map(str, field))}" for at, field in enumerate(fields))
    return f"{1 if click else -1} {' '.join(spaces)}"


def run(command: str) -> float:
    """Processor seconds of Vowpal Wabbit's own driver."""
    started = time.process_time()
    Workspace(f"{command} --quiet").finish()
    return time.process_time() - started


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    data = MovieLens(options.data, options.run)
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        train, test, model, scores = (Path(folder) / name for name in ("train.txt", "test.txt", "model", "scores.txt"))
        lines(data.prepared.train, text, train)
        rows = [line.partition(" ")[2] for line in lines(data.prepared.test, text, test)[:SINGLE]]
        seconds = run(f"{MODEL} -d {train} -c -k --passes {PASSES} --holdout_off -f {model}")

        def scored() -> None:
            run(f"-t -i {model} -d {test} -p {scores}")

        scored()
        found = logits_of(np.loadtxt(scores))
        alone = Workspace(f"-t -i {model} --quiet")
        side = Side("Vowpal Wabbit", "raw", scored, each(alone.predict, rows), found, seconds)
        compare(data, side, options.seconds)
        alone.finish()
        beside("Vowpal Wabbit", len(data.prepared.train) * PASSES / seconds, data)


if __name__ == "__main__":
    main()
