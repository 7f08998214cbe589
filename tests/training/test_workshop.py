"""Where fresh models start."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clicks import Silent, Told, small_config
from pydantic import TypeAdapter

import dagfm
from dagfm.config.networks import NetworkConfig
from dagfm.data.prepare import prepare
from dagfm.training.scoring import chunks_of, score_chunks, scores_of
from dagfm.training.workshop import Workshop

NETWORKS = (
    {"network": "dagfm"},
    {"network": "crossnet"},
    {"network": "cin", "cin": [8, 8]},
    *({"network": name} for name in ("fm", "qnn", "finalnet", "ecn", "fcn", "ffm", "fwfm", "fmfm")),
)


@pytest.fixture
def shop(folder: Path, log_path: Path) -> Workshop:
    config = dagfm.load_config(small_config(log_path))
    return Workshop(config, prepare(config, folder, Silent()), 1, torch.device("cpu"), Silent())


def mean_logit(shop: Workshop, network: dict[str, object]) -> float:
    model = shop.model(TypeAdapter(NetworkConfig).validate_python(network), "test")
    rows = shop.prepared.train.rows
    return float(score_chunks(scores_of(model), chunks_of(rows), len(rows)).mean())


@pytest.mark.parametrize("network", NETWORKS, ids=lambda network: str(network["network"]))
def test_a_fresh_model_promises_the_click_rate_of_the_training_rows(shop: Workshop, network: dict[str, object]) -> None:
    train = shop.prepared.train
    labels = (np.arange(len(train)) < 0.02 * len(train)).astype(np.float32)
    rare = replace(shop, prepared=replace(shop.prepared, train=replace(train, labels=labels)))
    start = mean_logit(rare, network) - mean_logit(shop, network)
    assert rare.prior == pytest.approx(math.log(0.02 / 0.98), rel=1e-6)
    assert start == pytest.approx(rare.prior - shop.prior, abs=1e-4)


def test_the_rate_is_the_weighted_one(shop: Workshop) -> None:
    train = shop.prepared.train
    weights = np.where(train.labels == 1, 1, 3).astype(np.float32)
    weighed = replace(shop, prepared=replace(shop.prepared, train=replace(train, weights=weights)))
    assert weighed.prior == pytest.approx(shop.prior - math.log(3), rel=1e-6)


def test_the_reference_starts_at_zero(shop: Workshop) -> None:
    training = shop.config.training.model_copy(update={"initialisation": "reference"})
    assert replace(shop, config=shop.config.model_copy(update={"training": training})).prior == 0


@pytest.mark.parametrize(
    ("overrides", "epochs"),
    [
        ((), 12),
        (("training.distillation.epochs=auto",), 12),
        (("distillation.embedding=own",), 48),
        (("teacher={scores: price, kind: logit}",), 48),
        (("teacher=[{network: boosted}, {network: fm}]",), 12),
        (("distillation.embedding=own", "training.distillation.epochs=5"), 5),
        (("preset=paper", "distillation.embedding=own"), 300),
    ],
)
def test_a_student_whose_embedding_starts_at_random_has_several_times_the_epochs(
    shop: Workshop, log_path: Path, overrides: tuple[str, ...], epochs: int
) -> None:
    config = small_config(log_path)
    del config["training"]
    configured = replace(shop, config=dagfm.load_config(config, overrides))
    assert configured.distillation.epochs == epochs
    assert configured.settled(configured.config.training.finetuning).epochs in (3, 300)


def test_the_epochs_of_a_random_start_are_told_and_recombined_rows_last_for_all(folder: Path, log_path: Path) -> None:
    told = Told()
    config = small_config(log_path, distillation={"embedding": "own", "recombined": 0.01}, phase=None)
    del config["training"]["distillation"]["epochs"]
    config["training"]["distillation"]["patience"] = 1
    run = dagfm.fit(config, folder / "run", progress=told)
    assert "student: its embedding starts at random, which takes 48 epochs" in told.lines
    pool = np.load(run.directory / "teacher_logits" / "pool-logits.npy")
    assert len(pool) == round(0.01 * 48 * run.results["rows"]["train"])
