"""Models judged against each other on rows of their own run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clicks import Finished, Silent

import dagfm
from dagfm import metrics
from dagfm.data.dataset import Prepared
from dagfm.run import judging
from dagfm.run.judging import Model, standard_errors
from dagfm.training.sampling import Sampling


@pytest.fixture
def prepared(finished: Finished) -> Prepared:
    return Prepared.open(finished.folder / ".dagfm" / "prepared" / _made_from(finished))


def _made_from(finished: Finished) -> str:
    return str(json.loads((finished.run / "prepared.json").read_text())["fingerprint"])


def test_kept_logits_are_the_models(finished: Finished, prepared: Prepared) -> None:
    for part in ("valid", "test"):
        labels = getattr(prepared, part).labels
        for name, phase, place in (
            ("teacher", "teacher_training", "teacher_training/teacher"),
            ("student", "finetuning", "finetuning/student"),
            ("fm", "scratch", "baselines/fm/decay-0.001-dropout-0.1"),
        ):
            logits = np.load(finished.run / place / f"{part}-logits.npy")
            assert logits.dtype == np.float32
            figures = finished.entry(name, phase)["metrics"][part]
            assert metrics.auc(labels, logits) == figures["auc"]
            assert metrics.logloss(labels, logits) == figures["logloss"]


def test_a_run_says_how_far_test_rows_tell_its_models_apart(finished: Finished, prepared: Prepared) -> None:
    served = np.load(finished.run / finished.served["phase"] / "student" / "test-logits.npy")
    others = {
        "teacher": finished.run / "teacher_training" / "teacher",
        "scratch": finished.run / "baselines" / "scratch" / "decay-0.001-dropout-0.1",
    }
    lines = {line["minus"]: line for line in finished.results["comparisons"]}
    labels = prepared.test.labels
    mine = metrics.Standing.of(labels, served)
    for name, place in others.items():
        theirs = metrics.Standing.of(labels, np.load(place / "test-logits.npy"))
        for key, difference in (
            ("auc", metrics.auc_difference(mine, theirs)),
            ("logloss", metrics.logloss_difference(mine, theirs)),
        ):
            (by_seed,) = lines[name][key]["by_seed"]
            assert by_seed["interval"] == pytest.approx(list(difference.interval()), abs=1e-9)
            low, high = by_seed["interval"]
            assert low < by_seed["difference"] < high
    assert {line["verdict"] for line in finished.results["claims"]} == {"one seed: not testable"}


def test_of_many_rows_a_sample_stands_for_all(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    one, other = random.normal(size=(2, len(prepared.test))).astype(np.float32)
    models = [
        Model({"name": "s", "role": "student", "seed": 1}, lambda part: one),
        Model({"name": "b", "role": "baseline", "seed": 1}, lambda part: other),
    ]
    whole = standard_errors(models, models[:1], prepared.test, Sampling())
    monkeypatch.setattr(judging, "ROWS", 250)
    half = standard_errors(models, models[:1], prepared.test, Sampling())
    assert whole.keys() == half.keys() == {("s", "b", 1)}
    for key in ("auc", "logloss"):
        assert half["s", "b", 1][key] == pytest.approx(whole["s", "b", 1][key], rel=0.2)
        assert half["s", "b", 1][key] != whole["s", "b", 1][key]


def test_a_model_whose_logits_nobody_kept_has_no_interval(prepared: Prepared) -> None:
    models = [
        Model({"name": "s", "role": "student", "seed": 1}, lambda part: np.zeros(len(prepared.test), np.float32)),
        Model({"name": "t", "role": "teacher", "seed": 1}, lambda part: None),
    ]
    assert standard_errors(models, models[:1], prepared.test, Sampling()) == {}


def test_the_ensemble_is_judged_by_its_cached_logits(finished: Finished, tmp_path: Path) -> None:
    overrides = ["teacher=[{network: fm, seeds: 2}]", "training.teacher_training.epochs=1"]
    run = dagfm.fit(finished.folder / "dagfm.yaml", tmp_path / "run", overrides=overrides, progress=Silent())
    (line,) = (line for line in run.results["comparisons"] if line["minus"] == "ensemble")
    assert line["auc"]["by_seed"][0]["interval"] is not None
