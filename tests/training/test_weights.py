"""Sample weights in a whole run: training on a row of weight k is training on k copies of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Silent, click_log, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.data.dataset import Dataset, Prepared

PARTS = {"train": 600, "valid": 300, "test": 300}
PHASES = ("teacher_training/teacher", "distillation/student", "finetuning/student")


def configuration(batch_size: int = 10_000) -> dict[str, Any]:
    """By default every epoch one batch, whose order does not matter; no dropout, which would differ between copies."""
    config = small_config(Path("train.parquet"))
    config["data"] |= {"valid": "valid.parquet", "test": "test.parquet"}
    config["training"] |= {"batch_size": batch_size}
    config["training"]["teacher_training"] |= {"dropout": 0.0, "decay": 0.001, "epochs": 5}
    config["distillation"] = {"recombined": 0.0, "alpha": 0.5}
    return config


def written(copies: Mapping[str, np.ndarray] | None = None, times: int = 1) -> dict[str, pl.DataFrame]:
    """The parts of one log as files, each row as often as ``copies`` says."""
    log, parts, start = click_log(times * sum(PARTS.values())), {}, 0
    for part, rows in PARTS.items():
        parts[part] = log[start : start + times * rows]
        start += times * rows
        chosen = np.arange(times * rows) if copies is None else np.repeat(np.arange(times * rows), copies[part])
        parts[part][chosen].write_parquet(f"{part}.parquet")
    return parts


def fit(
    config: dict[str, Any], run: Path, monkeypatch: pytest.MonkeyPatch, changed: Callable[[str, Dataset], Dataset]
) -> dagfm.Run:
    """A run whose prepared rows are ``changed`` before they are trained on."""
    module = importlib.import_module("dagfm.run.fit")
    prepare = module.prepare

    def other(*arguments: Any) -> Prepared:
        prepared: Prepared = prepare(*arguments)
        return replace(prepared, **{part: changed(part, getattr(prepared, part)) for part in PARTS})

    with monkeypatch.context() as patch:
        patch.setattr(module, "prepare", other)
        return dagfm.fit(config, run, progress=Silent())


def test_a_row_of_weight_k_trains_and_measures_as_k_copies(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    copies = {part: random.integers(1, 4, rows) for part, rows in PARTS.items()}
    written(copies)

    def weighed(part: str, dataset: Dataset) -> Dataset:
        """The first of each row's copies, weighing as many as there are."""
        firsts = np.cumsum(copies[part]) - copies[part]
        return Dataset(dataset.rows.take(firsts), dataset.labels[firsts], copies[part].astype(np.float32))

    copied = fit(configuration(), folder / "copied", monkeypatch, lambda part, dataset: dataset)
    weighted = fit(configuration(), folder / "weighted", monkeypatch, weighed)
    assert (weighted.results["weighted"], copied.results["weighted"]) == (True, False)
    for phase in PHASES:
        mine, theirs = (load_file(run.directory / phase / "weights.safetensors") for run in (weighted, copied))
        for name in mine:
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-4, err_msg=f"{phase} {name}")
    for one, other in zip(weighted.results["models"], copied.results["models"], strict=True):
        for part in ("valid", "test"):
            for key in ("auc", "logloss"):
                assert one["metrics"][part][key] == pytest.approx(other["metrics"][part][key], abs=1e-4)


def test_weights_that_are_equal_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written()
    plain = fit(configuration(128), folder / "plain", monkeypatch, lambda part, dataset: dataset)
    weighted = fit(
        configuration(128),
        folder / "weighted",
        monkeypatch,
        lambda part, dataset: replace(dataset, weights=np.full(len(dataset), 3, np.float32)),
    )
    for phase in PHASES:
        mine, theirs = (load_file(run.directory / phase / "weights.safetensors") for run in (weighted, plain))
        for name in mine:
            np.testing.assert_allclose(mine[name], theirs[name], atol=1e-3, err_msg=f"{phase} {name}")


def test_rows_that_weigh_nothing_teach_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most training rows have the wrong label and no weight."""
    written(times=10)
    wrong = np.arange(10 * PARTS["train"]) % 3 > 0

    def lying(part: str, dataset: Dataset) -> Dataset:
        labels = np.where(wrong, 1 - dataset.labels, dataset.labels) if part == "train" else dataset.labels
        return replace(dataset, labels=labels)

    def silenced(part: str, dataset: Dataset) -> Dataset:
        weights = (~wrong).astype(np.float32) if part == "train" else None
        return replace(lying(part, dataset), weights=weights)

    believed = fit(configuration(128), folder / "believed", monkeypatch, lying).results
    unheard = fit(configuration(128), folder / "unheard", monkeypatch, silenced).results
    for one, other in zip(unheard["models"], believed["models"], strict=True):
        assert one["metrics"]["test"]["auc"] > 0.55
        assert other["metrics"]["test"]["auc"] < 0.5
