"""LightGBM beside our student: ids (users and films as categories), genres and out-of-fold click rates, stopped early.

The click rates are those that a boosted teacher of ours sees (``statistics: auto``): of every field of ids, and pairs.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import lightgbm
import numpy as np
from numpy.typing import NDArray

from dagfm.encoding.rows import Rows
from dagfm.training.tallies import Tally, tallied_fields
from rivals.movielens import SINGLE, MovieLens, Side, arguments, compare, each, genres_of

SETTINGS = {
    "objective": "binary", "learning_rate": 0.1, "num_leaves": 255, "min_data_in_leaf": 50, "lambda_l2": 1.0,
    "cat_smooth": 50, "cat_l2": 50, "feature_fraction": 0.8, "num_threads": 1, "seed": 2022, "verbose": -1,
}  # fmt: skip
TREES, FOLDS = 1000, 5


def folds_of(data: MovieLens) -> NDArray[np.int64]:
    """(n,) the fold of each training row."""
    return np.random.default_rng(0).integers(FOLDS, size=len(data.prepared.train))


def columns(data: MovieLens) -> dict[str, NDArray[np.float32]]:
    """(n, columns) of the train, valid and test rows; a training row's click rates are those of the other folds."""
    prepared, encoder, folds = data.prepared, data.prepared.encoder, folds_of(data)
    tallies, of_train = [], []
    for fields in tallied_fields("auto", encoder, len(prepared.train)):
        tally, values = Tally.of(fields, prepared.train, encoder, folds, FOLDS)
        tallies.append(tally)
        of_train.append(values)
    width = encoder.rows_of("genres")

    def joined(rows: Rows, values: list[NDArray[np.float32]]) -> NDArray[np.float32]:
        parts = [rows.tokens, genres_of(rows, width), *values]
        return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")

    found = {"train": joined(prepared.train.rows, of_train)}
    for name, part in (("valid", prepared.valid), ("test", prepared.test)):
        found[name] = joined(part.rows, [tally.values(part.rows, encoder.schema) for tally in tallies])
    return found


def grown(
    data: MovieLens, found: dict[str, NDArray[np.float32]], settings: dict[str, Any], categories: list[int]
) -> lightgbm.Booster:
    """Trees over these columns of the train rows, as many as are best on the valid rows."""
    train = lightgbm.Dataset(
        found["train"], np.asarray(data.prepared.train.labels), categorical_feature=categories or "auto"
    )
    valid = lightgbm.Dataset(found["valid"], np.asarray(data.prepared.valid.labels), reference=train)
    stop = lightgbm.early_stopping(30, verbose=False)
    return lightgbm.train(settings, train, TREES, valid_sets=[valid], callbacks=[stop])


def main() -> None:
    options = arguments(__doc__.splitlines()[0])
    data = MovieLens(options.data, options.run)
    started = time.process_time()
    found = columns(data)
    trees = grown(data, found, SETTINGS, [data.names().index(name) for name in ("user_id", "movie_id")])
    seconds = time.process_time() - started

    def score(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = trees.predict(rows, raw_score=True, num_threads=1)
        return scores

    test = found["test"]
    singles = each(score, [test[row : row + 1] for row in range(SINGLE)])
    name = f"LightGBM, {trees.best_iteration} trees"
    compare(data, Side(name, "encoded", partial(score, test), singles, score(test), seconds), options.seconds)


if __name__ == "__main__":
    main()
