"""Students that start from a teacher of their own kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from clicks import Silent, Told, click_log, small_config

import dagfm
from dagfm.config.networks import DAGFMConfig
from dagfm.data.dataset import Prepared
from dagfm.training.twin import start_as, twin_of
from dagfm.training.workshop import Trained, Workshop, kept_logits

TEACHERS: list[dict[str, Any]] = [
    {"network": "crossnet", "depth": 2},
    {"network": "dagfm", "depth": 2},
    {"network": "dagfm", "depth": 2, "training": {"learning_rate": 1e-5}},
    {"network": "dagfm", "depth": 2, "size": 3},
    {"network": "dagfm", "depth": 2, "first_order": True},
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, its configuration and a run of five teachers."""
    folder = tmp_path_factory.mktemp("twins")
    click_log(1000).write_parquet(folder / "clicks.parquet")
    config = small_config(Path("clicks.parquet"), teacher=TEACHERS)
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    dagfm.fit(folder / "dagfm.yaml", folder / "run", progress=Silent())
    return folder


@pytest.fixture(scope="module")
def shop(home: Path) -> Workshop:
    config = dagfm.load_config(home / "dagfm.yaml")
    prepared = Prepared.open(Path(json.loads((home / "run" / "prepared.json").read_text())["directory"]))
    return Workshop(config, prepared, 2022, torch.device("cpu"), Silent())


@pytest.fixture(scope="module")
def teachers(home: Path, shop: Workshop) -> list[Trained]:
    return [
        Trained.standing(home / "run" / "teacher_training" / name, network)
        for name, network in shop.config.named("teacher")
    ]


@pytest.mark.parametrize(
    ("settings", "twin"),
    [
        ({}, "dagfm-2"),  # not dagfm-3, which has hardly learnt
        ({"head": "mlp"}, "dagfm-2"),
        ({"size": 3}, "dagfm-4"),
        ({"depth": 1}, None),
        ({"type": "outer"}, None),
        ({"size": 5}, None),
    ],
)
def test_a_twin_is_the_best_teacher_that_is_the_same_network(
    shop: Workshop, teachers: list[Trained], settings: dict[str, Any], twin: str | None
) -> None:
    found = twin_of(DAGFMConfig(**{"depth": 2, **settings}), teachers, shop)
    assert (found.entry["name"] if found else None) == twin


@pytest.mark.parametrize("settings", [{}, {"head": "mlp", "hidden": [5]}, {"first_order": True}, {"size": 3}])
def test_a_student_starts_by_saying_what_its_twin_says(
    shop: Workshop, teachers: list[Trained], settings: dict[str, Any]
) -> None:
    network = DAGFMConfig(**{"depth": 2, **settings})
    twin = twin_of(network, teachers, shop)
    assert twin is not None
    model = shop.model(network, "test").eval()
    start_as(model, twin, frozen=False)
    rows = shop.prepared.test.rows
    with torch.no_grad():
        said = model(model.layout.batch(rows)).numpy()
    kept = kept_logits(twin.directory, "test")
    assert kept is not None
    assert np.allclose(said, kept, atol=1e-6)
    assert model.embedding.weight.requires_grad


def test_a_run_says_so_and_may_be_told_not_to(home: Path, tmp_path: Path) -> None:
    told = Told()
    dagfm.fit(home / "dagfm.yaml", home / "run", overrides=["training.finetuning.epochs=1"], progress=told)
    path = home / "run" / "distillation" / "student" / "weights.safetensors"
    twin = path.read_bytes()
    told = Told()
    overrides = ["distillation.network=own"]
    other = dagfm.fit(home / "dagfm.yaml", tmp_path / "run", overrides=overrides, reuse=[home / "run"], progress=told)
    assert not any("its own kind" in line for line in told.lines)
    assert (other.directory / "distillation" / "student" / "weights.safetensors").read_bytes() != twin
    told = Told()
    again = dagfm.fit(home / "dagfm.yaml", tmp_path / "run", reuse=[], progress=told)
    assert any("student starts as dagfm-2, a teacher of its own kind" in line for line in told.lines)
    assert (again.directory / "distillation" / "student" / "weights.safetensors").read_bytes() == twin
