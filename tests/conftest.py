"""What every test runs under, and the small click log that many of them train on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import settings

# Before torch is imported: two threads a process stall for seconds on a busy two-core machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline measures the machine's load, and speed is never asserted in a test.
settings.register_profile("dagfm", deadline=None)
settings.load_profile("dagfm")


class Silent:
    """Progress that nobody watches."""

    def start(self, title: str, rows: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...

    def line(self, text: str) -> None: ...

    def finish(self) -> None: ...


def click_log(rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Clicks that follow hidden tastes of users for items, with every type of field and holes in it."""
    random = np.random.default_rng(seed)
    users, items = random.integers(0, 50, rows), random.integers(0, 30, rows)
    taste, kind = random.normal(size=(50, 2)), random.normal(size=(30, 2))
    price = random.lognormal(size=rows)
    logit = (taste[users] * kind[items]).sum(1) * 1.5 - 0.3 * np.log(price)
    tags = [["a", "b", "c"][: 1 + item % 3] if item % 5 else [] for item in items]
    return pl.DataFrame(
        {
            "user": [f"u{user}" for user in users],
            "group": [["x", "y", None][user % 3] for user in users],
            "item": items,
            "tags": ["|".join(values) for values in tags],
            "price": [None if index % 17 == 0 else value for index, value in enumerate(price)],
            "position": [[value, -value] for value in random.normal(size=rows)],
            "click": (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int),
        }
    )


FIELDS: list[dict[str, Any]] = [
    {"name": "user", "side": "context"},
    {"name": "group", "side": "context"},
    {"name": "item", "side": "candidate"},
    {"name": "tags", "type": "token_seq", "separator": "|", "side": "candidate"},
    {"name": "price", "type": "float", "side": "candidate"},
    {"name": "position", "type": "float_seq", "size": 2, "side": "candidate"},
]


def small_config(train: Path, **sections: Any) -> dict[str, Any]:
    """A configuration that trains in seconds; ``sections`` replace its own."""
    brief = {"epochs": 2, "learning_rate": 0.01}
    return {
        "data": {"train": str(train), "label": "click"},
        "fields": FIELDS,
        "embedding": {"size": 4},
        "teacher": {"network": "crossnet", "depth": 2},
        "student": {"network": "dagfm", "depth": 2},
        "training": {
            "batch_size": 256,
            "teacher_training": brief,
            "distillation": brief,
            "finetuning": brief,
            "scratch": {**brief, "decay": 0.001, "dropout": 0.1},
            "fm": {**brief, "decay": 0.001, "dropout": 0.1},
        },
        **sections,
    }


@pytest.fixture
def silent() -> Silent:
    return Silent()


@pytest.fixture(scope="session")
def log_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The click log as a Parquet file; tests must not change it."""
    path = tmp_path_factory.mktemp("log") / "clicks.parquet"
    click_log().write_parquet(path)
    return path
