"""The small click log that many tests train on, and the configuration that trains on it in a moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

STAGES = {
    "teacher_training/teacher",
    "teacher_logits",
    "distillation/student",
    "finetuning/student",
    "baselines/scratch/decay-0.001-dropout-0.1",
    "baselines/fm/decay-0.001-dropout-0.1",
}
"""Finished phases of a run of ``small_config`` with both baselines."""


class Silent:
    """Progress that nobody watches."""

    def start(self, title: str, rows: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...

    def line(self, text: str) -> None: ...

    def finish(self) -> None: ...


class Told(Silent):
    """Progress that remembers its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def line(self, text: str) -> None:
        self.lines.append(text)


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

    def brief(**more: Any) -> dict[str, Any]:
        return {"epochs": 2, "learning_rate": 0.01, "ema": 0.0, **more}

    return {
        "data": {"train": str(train), "label": "click"},
        "fields": [dict(field) for field in FIELDS],
        "embedding": {"size": 4},
        "teacher": {"network": "crossnet", "depth": 2},
        "student": {"network": "dagfm", "depth": 2},
        "training": {
            "batch_size": 256,
            "teacher_training": brief(),
            "distillation": brief(),
            "finetuning": brief(),
            "scratch": brief(decay=0.001, dropout=0.1),
            "fm": brief(decay=0.001, dropout=0.1),
        },
        **sections,
    }


BOOSTED: dict[str, Any] = {
    "network": "boosted",
    "over": {"network": "fm", "training": {"epochs": 1}},
    "folds": 2,
    "trees": 8,
    "min_rows": 20,
}
"""A teacher of trees that grow in a moment."""


def titles_of_steps(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that from now on gets the title of its training with every step that is made."""
    from dagfm.training import loop

    titles: list[str] = []
    step = loop._Training._step

    def counted(self: Any, *arguments: Any) -> Any:
        titles.append(self.task.title)
        return step(self, *arguments)

    monkeypatch.setattr(loop._Training, "_step", counted)
    return titles


@dataclass(frozen=True)
class Finished:
    """A run that is over, with what it was made from; shared by many tests, so nobody may change it."""

    folder: Path
    """Holds train.parquet, valid.parquet, test.parquet, dagfm.yaml and run/."""
    config: Mapping[str, Any]
    results: Mapping[str, Any]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def bundle(self) -> Path:
        return self.run / "bundle"

    @property
    def test_file(self) -> Path:
        return self.folder / "test.parquet"

    def entry(self, name: str, phase: str) -> Mapping[str, Any]:
        """The line of results of a model after a phase."""
        (found,) = (line for line in self.results["models"] if (line["name"], line["phase"]) == (name, phase))
        return found

    @property
    def served(self) -> Mapping[str, Any]:
        """The line of results of the model in the bundle."""
        return self.entry(self.results["served"]["name"], self.results["served"]["phase"])
