"""CatBoost beside our student: its own statistics of categories and their combinations, genres as numbers."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from numpy.typing import NDArray

from dagfm.encoding.rows import Rows
from rivals.movielens import SINGLE, MovieLens, Side, arguments, compare, each, genres_of

SETTINGS = {
    "iterations": 100, "learning_rate": 0.3, "depth": 6, "early_stopping_rounds": 30, "thread_count": 1,
    "random_seed": 2022, "verbose": False, "allow_writing_files": False,
}  # fmt: skip


def frame(data: MovieLens, rows: Rows) -> pd.DataFrame:
    """The ids as categories, a number of each genre."""
    *ids, genres = data.names()
    held = genres_of(rows, data.prepared.encoder.rows_of(genres))
    columns = {name: rows.tokens[:, at] for at, name in enumerate(ids)}
    return pd.DataFrame(columns | {f"{genres}-{at}": held[:, at] for at in range(held.shape[1])})


def main() -> None:
    options = arguments(__doc__)
    data = MovieLens(options.data, options.run)
    prepared = data.prepared
    train, valid, test = (frame(data, part.rows) for part in (prepared.train, prepared.valid, prepared.test))
    model = CatBoostClassifier(**SETTINGS, cat_features=data.names()[:-1])
    started = time.process_time()
    model.fit(train, prepared.train.labels.astype(int), eval_set=(valid, prepared.valid.labels.astype(int)))
    seconds = time.process_time() - started

    def score(rows: object) -> NDArray[np.float64]:
        scores: NDArray[np.float64] = model.predict(rows, prediction_type="RawFormulaVal", thread_count=1)
        return scores

    singles = each(score, test.head(SINGLE).astype(object).values.tolist())
    name = f"CatBoost, {model.tree_count_} trees"
    compare(data, Side(name, "encoded", partial(score, test), singles, score(test), seconds), options.seconds)


if __name__ == "__main__":
    main()
