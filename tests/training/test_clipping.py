"""Teacher's logits are clipped to quantiles of training rows, for whatever reads them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clicks import Silent, Told, small_config

import dagfm
from dagfm.training import clipping as module
from dagfm.training.clipping import clipping


def test_the_ends_are_quantiles_and_what_lies_between_stays() -> None:
    logits = np.random.default_rng(0).normal(size=1001).astype(np.float32)
    clip = clipping(logits, 0.1)
    clipped = clip(logits)
    assert clipped.dtype == np.float32
    assert (clipped == np.float32(clip.low)).sum() == (clipped == np.float32(clip.high)).sum() == 101
    inside = (logits > clip.low) & (logits < clip.high)
    assert np.array_equal(clipped[inside], logits[inside])
    assert inside.sum() == 799


def test_the_scale_comes_first() -> None:
    logits = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    plain, scaled = clipping(logits, 0.05), clipping(logits, 0.05, 0.5)
    assert (scaled.low, scaled.high) == pytest.approx((plain.low / 2, plain.high / 2))


def test_of_very_many_logits_evenly_spaced_ones_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAMPLE", 100)
    logits = np.arange(1050, dtype=np.float32)
    assert clipping(logits, 0.25) == clipping(logits[::11], 0.25)


def test_all_that_students_read_is_clipped_at_the_training_rows_ends_and_said(folder: Path, log_path: Path) -> None:
    told, config = Told(), small_config(log_path, teacher=[{"network": "crossnet"}, {"network": "fm"}])
    plain = dagfm.fit(config, "plain", progress=Silent())
    run = dagfm.fit(config | {"distillation": {"clip": 0.1}}, "clipped", progress=told)
    (facts,) = run.results["calibration"]
    assert plain.results["calibration"] == [{key: facts[key] for key in facts if key != "clip"}]
    clip = facts["clip"]
    low, high = np.float32(clip["low"]), np.float32(clip["high"])
    assert clip["quantile"] == 0.1
    assert [
        line
        for line in told.lines
        if line == f"the teacher's logits are clipped to {clip['low']:.4g} and {clip['high']:.4g}"
    ]
    for name in ("train", "valid", "test", "pool-logits"):
        before, after = (np.load(one.directory / "teacher_logits" / f"{name}.npy") for one in (plain, run))
        assert np.array_equal(after, np.clip(before, low, high))
    train = np.load(plain.directory / "teacher_logits" / "train.npy")
    assert (low, high) == pytest.approx(tuple(np.quantile(train, [0.1, 0.9])), abs=1e-6)
    student = next(line for line in run.results["models"] if line["phase"] == "distillation")
    logits = np.load(run.directory / "distillation" / "student" / "test-logits.npy")
    expected = np.mean((np.load(run.directory / "teacher_logits" / "test.npy") - logits) ** 2)
    assert student["metrics"]["test"]["logit_mse"] == pytest.approx(expected, rel=1e-5)


def test_without_a_quantile_nothing_is_asked_of_the_rows(folder: Path, log_path: Path) -> None:
    run = dagfm.fit(small_config(log_path), "run", progress=Silent())
    assert "clip" not in json.loads((run.directory / "teacher_logits" / "calibration.json").read_text())
    assert "clip" not in run.results["calibration"][0]
