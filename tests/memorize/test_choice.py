"""``memorize: auto`` from a log to a served model: it finds what is there, adds nothing where nothing is, resumes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Silent, Told

import dagfm
from dagfm.memorize import base, choice
from dagfm.metrics import auc

Watched = tuple[dagfm.Run, list[str]]
"""A run and the lines that it told."""
ROWS = 12_000
PHASE = {"epochs": 3, "ema": 0.9, "decay": 1e-3}


def log(effect: float, seed: int = 0) -> pl.DataFrame:
    """Users, shops and items, with an effect of every pair of user and shop that no short vector explains."""
    random = np.random.default_rng(seed)
    user, shop, item = (random.integers(0, count, ROWS) for count in (30, 25, 12))
    pairs = random.normal(size=(30, 25))
    logit = effect * pairs[user, shop] + random.normal(size=12)[item] - 0.5
    click = random.random(ROWS) < 1 / (1 + np.exp(-logit))
    return pl.DataFrame({"user": user, "shop": shop, "item": item, "click": click.astype(np.int64)})


def config(path: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": {"train": str(path), "label": "click"},
        "fields": [
            {"name": "user", "side": "context"},
            {"name": "shop", "side": "candidate"},
            {"name": "item", "side": "candidate"},
        ],
        "embedding": {"size": 4},
        "teacher": {"network": "dagfm", "training": {"dropout": 0.0}},
        "memorize": {"keys": "auto", "fields": 1},
        "training": {
            "seed": 5,
            "batch_size": 256,
            "teacher_training": PHASE,
            "distillation": {"epochs": 3},
            "finetuning": {"epochs": 1},
        },
        **more,
    }


@pytest.fixture(autouse=True)
def _brief_training_without_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "_STEPS", 100)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("planted") / "log.parquet"
    log(effect=2.0).write_parquet(path)
    return path


@pytest.fixture(scope="module")
def found(planted: Path) -> Watched:
    watch = Told()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_STEPS", 100)
        patch.chdir(planted.parent)
        return dagfm.fit(config(planted), planted.parent / "run", progress=watch), watch.lines


def test_the_planted_pair_is_found_and_served(found: Watched, planted: Path) -> None:
    run, lines = found
    first, *others = run.results["memorize"]["keys"]
    assert first["key"] == ["user", "shop"] and first["refused"] is None and first["gain"] > 0.05
    assert all(one["refused"] for one in others)
    resolved = yaml.safe_load((run.directory / "config.yaml").read_text())
    assert resolved["memorize"]["keys"] == "none" and resolved["fields"][-1]["name"] == "user_x_shop_rate"
    assert any("user x shop" in line and "taken" in line for line in lines)
    fresh = log(effect=2.0, seed=0)[:2000]  # the truth is of the seed
    assert auc(fresh["click"].to_numpy(), run.scorer().predict(fresh)) > 0.84


def test_an_unseen_pair_is_scored(found: Watched) -> None:
    scorer = found[0].scorer()
    rows = [{"user": user, "shop": 2, "item": 3} for user in (1, 999, None)]
    assert np.isfinite(scorer.predict(rows)).all()


def test_it_is_better_than_without(found: Watched, planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted.parent)
    without = dagfm.fit(config(planted, memorize="none"), "without", progress=Silent())
    assert without.results["memorize"] is None

    def served(run: dagfm.Run) -> float:
        (model,) = [one for one in run.results["models"] if (one["name"], one["phase"]) == ("student", "finetuning")]
        return float(model["metrics"]["test"]["auc"])

    assert served(found[0]) > served(without) + 0.05


def test_what_was_found_is_not_searched_again(found: Watched, planted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted.parent)
    monkeypatch.setattr(choice, "searched", None)
    monkeypatch.setattr(choice, "proved", None)
    again = dagfm.fit(config(planted), "again", progress=Silent())
    assert again.results["memorize"] == found[0].results["memorize"]


def test_a_teacher_of_the_same_kind_is_the_one_of_the_trial(found: Watched) -> None:
    (teacher,) = [one for one in found[0].results["models"] if one["role"] == "teacher"]
    assert "memorize" in teacher["reused"]["run"]


def test_nothing_is_added_where_nothing_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log(effect=0.0).write_parquet(tmp_path / "log.parquet")
    monkeypatch.chdir(tmp_path)
    run = dagfm.fit(config(tmp_path / "log.parquet", phase="teacher_training"), "run", progress=Silent())
    memory = run.results["memorize"]
    assert all(one["refused"] for one in memory["keys"]) and memory["looked_at"] == 6
    assert len(yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["fields"]) == 3


def test_an_interrupted_search_goes_on_and_finds_the_same(
    found: Watched, planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    proved = choice.proved

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(choice, "proved", killed)
    with pytest.raises(KeyboardInterrupt):
        dagfm.fit(config(planted, phase="teacher_training"), "run", progress=Silent())
    assert not list(tmp_path.rglob(choice.FILE))
    monkeypatch.setattr(choice, "proved", proved)
    watch = Told()
    run = dagfm.fit(config(planted, phase="teacher_training"), "run", progress=watch)
    trained = [line for line in watch.lines if "without memory" in line]
    assert len(trained) == base.FOLDS and all(line.endswith("is done") for line in trained)
    told = [{**run_.results["memorize"], "seconds": 0, "trials": 0} for run_ in (run, found[0])]
    assert json.dumps(told[0]) == json.dumps(told[1])
