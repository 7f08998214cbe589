"""A row's own label reaches its own encoding in no split, fold, order of files or resumed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Silent
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.config import load_config
from dagfm.data import prepare as preparing
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.metrics import auc

FIELDS: list[dict[str, Any]] = [
    {"name": "user"},
    {"name": "item"},
    {"name": "user_rate", "column": "user", "vocabulary": "user", "encode": "target", "bins": 16},
    {"name": "item_rate", "column": "item", "vocabulary": "item", "encode": "target"},
    {"name": "pair_rate", "cross": ["user", "item"], "encode": "target", "bins": 16},
    {"name": "pair_value", "cross": ["user", "item"], "encode": "target", "smoothing": 3},
]
SPLITS: list[dict[str, Any]] = [
    {"by": "random"},
    {"by": "time", "column": "at"},
]


def log(rows: int, seed: int, users: int = 12) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "row": np.arange(rows),
            "user": random.integers(0, users, rows),
            "item": random.integers(0, 6, rows),
            "at": random.integers(0, 40, rows),
            "weight": random.choice([0.5, 1.0, 2.0], rows),
            "click": random.integers(0, 2, rows),
        }
    )


def prepared(frame: pl.DataFrame, folder: Path, split: dict[str, Any], files: int = 1, **data: Any) -> Prepared:
    folder.mkdir()
    for number, part in enumerate(np.array_split(np.arange(frame.height), files)):
        frame[part].write_parquet(folder / f"{number}.parquet")
    said = {"train": str(folder / "*.parquet"), "label": "click", "split": split, **data}
    return prepare(load_config({"data": said, "fields": FIELDS}), folder, Silent())


@settings(max_examples=6)
@given(
    seed=st.integers(0, 10_000),
    row=st.integers(0, 149),
    split=st.sampled_from(SPLITS),
    files=st.sampled_from([1, 3]),
    weighted=st.booleans(),
)
def test_flipping_a_training_rows_label_leaves_its_own_encoding(
    tmp_path_factory: pytest.TempPathFactory, seed: int, row: int, split: dict[str, Any], files: int, weighted: bool
) -> None:
    folder = tmp_path_factory.mktemp("leak")
    frame = log(150, seed)
    flipped = frame.with_columns(click=pl.when(pl.col("row") == row).then(1 - pl.col("click")).otherwise("click"))
    weight = {"weight": "weight"} if weighted else {}
    before = prepared(frame, folder / "before", split, files, **weight)
    after = prepared(flipped, folder / "after", split, files, **weight)
    for part in ("train", "valid", "test"):
        one, other = getattr(before, part), getattr(after, part)
        (changed,) = np.nonzero(one.labels != other.labels)
        for at in changed:  # the flipped row, in whatever part it is
            np.testing.assert_array_equal(one.rows.tokens[at], other.rows.tokens[at])
            np.testing.assert_array_equal(one.rows.floats[at], other.rows.floats[at])


@pytest.mark.parametrize("split", SPLITS)
def test_on_random_labels_training_rows_encodings_say_nothing(tmp_path: Path, split: dict[str, Any]) -> None:
    made = prepared(log(30_000, 3, users=4000), tmp_path / "log", split)
    schema, rows, clicks = made.encoder.schema, made.train.rows, made.train.labels
    error = (1 / (12 * len(clicks) * 0.25)) ** 0.5
    for name in ("item_rate", "pair_value"):
        rates = np.nan_to_num(rows.floats[:, schema.numbers_column(name)])
        assert abs(auc(clicks, rates) - 0.5) < 3 * error, name
    for name in ("user_rate", "pair_rate"):
        assert abs(auc(clicks, rows.tokens[:, schema.ids_column(name)].astype(float)) - 0.5) < 3 * error, name


def test_a_resumed_preparation_has_the_same_folds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = log(400, 1)
    whole = prepared(frame, tmp_path / "whole", SPLITS[0])
    learn = preparing.learn_target

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(preparing, "learn_target", killed)
    with pytest.raises(KeyboardInterrupt):
        prepared(frame, tmp_path / "killed", SPLITS[0])
    monkeypatch.setattr(preparing, "learn_target", learn)
    said = {"train": str(tmp_path / "killed" / "*.parquet"), "label": "click", "split": SPLITS[0]}
    again = prepare(load_config({"data": said, "fields": FIELDS}), tmp_path / "killed", Silent())
    assert again.content == whole.content
