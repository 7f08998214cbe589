"""xLearn's field-aware factorization machine beside our student: training and scoring from libffm text."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import xlearn

from rivals.epochs import beside
from rivals.movielens import MovieLens, Side, arguments, compare, lines

EPOCHS = 24
SETTINGS = {"task": "binary", "lr": 0.4, "lambda": 2e-3, "k": 32, "epoch": EPOCHS, "nthread": 1}


def libffm(starts: Sequence[int]) -> Callable[[bool, Sequence[int], Sequence[int]], str]:
    """field:feature:value, a feature of every genre; ``starts`` are the fields' first features."""

    def line(click: bool, ids: Sequence[int], genres: Sequence[int]) -> str:
        last = len(ids)
        cells = [f"{at}:{starts[at] + one}:1" for at, one in enumerate(ids)]
        return " ".join([str(int(click)), *cells, *(f"{last}:{starts[last] + one}:1" for one in genres)])

    return line


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Nothing on stdout, of code in C++ neither, which ``setQuiet`` leaves alone."""
    sys.stdout.flush()
    kept = os.dup(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def main() -> None:
    options = arguments(__doc__)
    data = MovieLens(options.data, options.run)
    line = libffm(data.prepared.encoder.spans.starts.tolist())
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        paths = {part: str(Path(folder) / part) for part in ("train", "test", "model", "scores")}
        for part in ("train", "test"):
            lines(getattr(data.prepared, part), line, Path(paths[part]))
        os.environ.setdefault("USER", "nobody")  # xLearn ends the process without it
        model = xlearn.create_ffm()
        model.setQuiet()
        model.setTrain(paths["train"])
        started = time.process_time()
        with silence():
            model.fit(SETTINGS, paths["model"])
        seconds = time.process_time() - started

        def score() -> None:
            Path(f"{paths['test']}.bin").unlink(missing_ok=True)  # what it keeps of the text
            with silence():
                model.setTest(paths["test"])
                model.predict(paths["model"], paths["scores"])

        score()
        logits = np.loadtxt(paths["scores"])
        compare(data, Side("xLearn FFM k=32", "raw", score, None, logits, seconds), options.seconds)
        beside("xLearn FFM k=32", len(data.prepared.train) * EPOCHS / seconds, data)


if __name__ == "__main__":
    main()
