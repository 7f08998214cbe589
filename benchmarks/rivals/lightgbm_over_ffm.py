"""LightGBM over the score of xLearn's FFM beside our student: the strongest that one has without a network.

Trees see what those of ``lightgbm_trees`` see, and of a training row the logit of a machine trained on the other folds;
of valid and test rows that of a machine trained on all training rows, better here than the mean of the folds' machines.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rivals.lightgbm_trees import FOLDS, columns, folds_of, grown
from rivals.movielens import MovieLens, Side, arguments, compare, lines
from rivals.xlearn_ffm import Ffm, libffm

SETTINGS = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 31, "min_data_in_leaf": 200, "feature_fraction": 0.5,
    "num_threads": 1, "seed": 2022, "verbose": -1,
}  # fmt: skip


class Machines:
    """The FFM of every fold and that of all training rows; ``logits`` of the three parts."""

    def __init__(self, data: MovieLens, folder: Path) -> None:
        line, self._folder = libffm(data.prepared.encoder.spans.starts.tolist()), folder
        parts = {"train": data.prepared.train, "valid": data.prepared.valid, "test": data.prepared.test}
        text = {name: lines(part, line, folder / name) for name, part in parts.items()}
        whole = Ffm(folder / "train")
        self.test, self.score, self.seconds = folder / "test", whole.score, whole.seconds
        self.logits = {name: np.loadtxt(whole.score(folder / name)) for name in ("valid", "test")}
        folds = folds_of(data)
        of_train = np.empty(len(folds))
        for fold in range(FOLDS):
            held = folds == fold
            rest = self._written("rest", text["train"], ~held)
            model = Ffm(rest)
            of_train[held] = np.loadtxt(model.score(self._written("held", text["train"], held)))
            self.seconds += model.seconds
        self.logits["train"] = of_train

    def _written(self, name: str, text: Iterable[str], chosen: NDArray[np.bool_]) -> Path:
        path = self._folder / name
        path.write_text("".join(f"{line}\n" for line, wanted in zip(text, chosen, strict=True) if wanted))
        Path(f"{path}.bin").unlink(missing_ok=True)
        return path


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    data = MovieLens(options.data, options.run)
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        machines = Machines(data, Path(folder))
        started = time.process_time()
        found = {
            name: np.column_stack([part, machines.logits[name].astype(np.float32)])
            for name, part in columns(data).items()
        }
        trees = grown(data, found, SETTINGS, [])
        seconds = machines.seconds + time.process_time() - started

        def score() -> NDArray[np.float64]:
            rows = found["test"].copy()
            rows[:, -1] = np.loadtxt(machines.score(machines.test))
            scores: NDArray[np.float64] = trees.predict(rows, raw_score=True, num_threads=1)
            return scores

        name = f"LightGBM over FFM, {trees.best_iteration} trees"
        compare(data, Side(name, "raw", score, None, score(), seconds), options.seconds)


if __name__ == "__main__":
    main()
