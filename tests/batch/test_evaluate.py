"""Figures of labelled files do not depend on how many rows are read at once."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished, click_log

import dagfm
from dagfm import metrics
from dagfm.batch.evaluate import evaluate_files
from dagfm.batch.rows import RawRows
from dagfm.config.files import FileOptions
from dagfm.errors import InputError
from dagfm.progress import LoggedProgress
from dagfm.serving.scorer import Scorer


def with_card(finished: Finished, **card: Any) -> Scorer:
    """The run's scorer, as if it had been trained by another label rule."""
    bundle = dagfm.load(finished.bundle).bundle
    return Scorer(dataclasses.replace(bundle, card={**bundle.card, **card}))


def evaluate(scorer: Scorer, rows: str) -> dict[str, float]:
    return evaluate_files(scorer, rows, FileOptions(), {}, LoggedProgress(), print)


@pytest.mark.parametrize("at_once", [1, 7, 400, 5000])
def test_rows_that_drop_out_and_weigh_differently_count_alike(
    finished: Finished, folder: Path, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw, frame = np.random.default_rng(0), click_log(400, seed=5)
    frame = frame.with_columns(stars=pl.Series(draw.integers(1, 6, 400)), weight=pl.Series(draw.integers(0, 4, 400)))
    frame[:150].write_parquet("a.parquet")
    frame[150:].write_parquet("b.parquet")
    label = {"column": "stars", "positive_from": 4, "drop": [3]}
    scorer = with_card(finished, label=label, weight="weight")
    monkeypatch.setattr(RawRows, "at_once", at_once)
    kept = frame.filter(pl.col("stars") != 3)
    clicks = (kept["stars"] >= 4).to_numpy().astype(np.float32)
    logits, weights = scorer.served_logits(kept), kept["weight"].to_numpy().astype(np.float32)
    assert evaluate(scorer, "?.parquet") == {
        "rows": kept.height,
        "click_rate": metrics.mean(clicks, weights),
        "auc": metrics.auc(clicks, logits, weights),
        "logloss": metrics.logloss(clicks, logits, weights),
        "calibration": metrics.calibration(clicks, metrics.sigmoid(logits), weights),
    }


def test_a_label_is_refused_with_its_own_file_and_row(
    finished: Finished, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = click_log(100, seed=5)
    frame.write_parquet("a.parquet")
    frame.with_columns(click=pl.when(pl.int_range(100) == 70).then(None).otherwise("click")).write_parquet("b.parquet")
    monkeypatch.setattr(RawRows, "at_once", 16)
    with pytest.raises(InputError, match=r"^b\.parquet: row 71: label 'click' is empty"):
        evaluate(dagfm.load(finished.bundle), "?.parquet")


@pytest.mark.parametrize("label", [None, 5, {"column": 5}, {"column": "click", "positive_from": "x"}])
def test_a_bundle_without_a_label_rule_is_told(finished: Finished, label: Any) -> None:
    with pytest.raises(InputError, match="holds no label rule"):
        evaluate(with_card(finished, label=label), str(finished.test_file))
