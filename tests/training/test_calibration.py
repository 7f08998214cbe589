"""The scale that calibrates a teacher: found exactly, applied where it is more than noise, and never twice."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Silent, Told, click_log, small_config

import dagfm
from dagfm import metrics
from dagfm.training import teacher_logits
from dagfm.training.calibration import HIGHEST, LOWEST, calibrate


def drawn(rows: int, factor: float, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, and logits that are ``factor`` times the true ones less ``shift``."""
    random = np.random.default_rng(5)
    logits = random.normal(-1, 1.5, rows)
    labels = (random.random(rows) < metrics.sigmoid(logits)).astype(np.float32)
    return labels, ((logits - shift) * factor).astype(np.float32)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shift", [0.0, -1.0])
def test_the_scale_is_the_best_of_a_fine_grid(weighted: bool, shift: float) -> None:
    labels, logits = drawn(5000, 2.0, shift)
    weights = np.random.default_rng(0).integers(0, 4, 5000).astype(np.float32) if weighted else None
    found = calibrate(labels, logits, weights, shift)
    grid = np.linspace(0.3, 0.8, 501)
    losses = [metrics.logloss(labels, s * logits.astype(np.float64) + shift, weights) for s in grid]
    assert found.scale == pytest.approx(grid[np.argmin(losses)], abs=1.1e-3)
    assert found.logloss == pytest.approx(metrics.logloss(labels, logits + shift, weights), abs=1e-6)
    assert found.logloss - found.gain == pytest.approx(min(losses), abs=1e-6)
    assert found.pays


def test_a_calibrated_teacher_is_left_alone() -> None:
    found = calibrate(*drawn(5000, 1.0), None)
    assert found.scale == pytest.approx(1.0, abs=0.1)
    assert found.gain >= 0
    assert not found.pays


def test_the_limit_is_about_four_standard_errors_of_the_scale() -> None:
    labels, logits = drawn(20000, 1.0)
    p = metrics.sigmoid(logits)
    error = 1 / np.sqrt((p * (1 - p) * logits.astype(np.float64) ** 2).sum())
    best = calibrate(labels, logits, None).scale
    for errors, pays in ((3.0, False), (5.0, True)):
        assert calibrate(labels, (logits * best / (1 + errors * error)).astype(np.float32), None).pays is pays


@pytest.mark.parametrize(("sign", "limit"), [(1, HIGHEST), (-1, LOWEST)])
def test_the_scale_stays_within_its_limits(sign: int, limit: float) -> None:
    labels = np.array([0, 1, 0, 1], np.float32)
    found = calibrate(labels, sign * (labels * 2 - 1) * np.float32(0.1), None)
    assert found.scale == pytest.approx(limit, rel=1e-6)


def bold(folder: Path) -> dict:
    """A configuration whose teacher is the truth times three."""
    frame = click_log(1500)
    labels, logits = drawn(1500, 3.0)
    frame.with_columns(click=pl.Series(labels.astype(int)), s=pl.Series(logits)).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"), teacher={"scores": "s", "kind": "logit"})
    return config | {"phase": "distillation"}


def test_what_students_read_is_calibrated_and_said(folder: Path) -> None:
    told = Told()
    config = bold(folder)
    plain = dagfm.fit(config | {"distillation": {"calibrate": False}}, "plain", progress=Silent())
    auto = dagfm.fit(config, "auto", progress=told)
    (calibration,) = auto.results["calibration"]
    assert calibration["scale"] == pytest.approx(1 / 3, rel=0.25)
    assert plain.results["calibration"] == [{"seed": 2022, "scale": 1.0}]
    for part in ("train", "valid", "test"):
        before, after = (np.load(run.directory / "teacher_logits" / f"{part}.npy") for run in (plain, auto))
        assert np.array_equal(after, before * np.float32(calibration["scale"]))
    teachers = [run.results["models"][0]["metrics"]["test"] for run in (plain, auto)]
    assert teachers[1]["logloss"] < teachers[0]["logloss"]
    assert teachers[1]["auc"] == pytest.approx(teachers[0]["auc"], abs=1e-3)
    assert [line for line in told.lines if "which calibrates them" in line]


def test_nothing_changes_where_it_would_not_pay_and_true_insists(folder: Path) -> None:
    config = bold(folder)
    frame = pl.read_parquet("clicks.parquet")
    frame.with_columns(pl.col("s") / 3).write_parquet("clicks.parquet")
    scales = {}
    for when in ("auto", True, False):
        run = dagfm.fit(config | {"distillation": {"calibrate": when}}, f"run-{when}", progress=Silent())
        scales[when] = run.results["calibration"][0]["scale"]
    assert scales["auto"] == scales[False] == 1.0
    assert scales[True] != 1.0
    for part in ("train", "valid", "test"):
        one, two = (Path(f"run-{when}/teacher_logits/{part}.npy").read_bytes() for when in ("auto", False))
        assert one == two


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_a_kill_while_logits_are_scaled_scales_none_twice(
    folder: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    config, finish, done = bold(folder), teacher_logits._finish, []

    def killed(*arguments: object) -> None:
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(arguments)
        finish(*arguments)  # type: ignore[arg-type]

    config["training"]["distillation"]["epochs"] = 1
    monkeypatch.setattr(teacher_logits, "_finish", killed)
    if after < 3:
        with pytest.raises(KeyboardInterrupt):
            dagfm.fit(config, "run", progress=Silent())
    monkeypatch.setattr(teacher_logits, "_finish", finish)
    dagfm.fit(config, "run", progress=Silent())
    scale = json.loads(Path("run/teacher_logits/calibration.json").read_text())["scale"]
    raw = pl.read_parquet("clicks.parquet")["s"].to_numpy()
    written = np.concatenate([np.load(f"run/teacher_logits/{part}.npy") for part in ("train", "valid", "test")])
    assert np.array_equal(np.sort(written), np.sort(raw * np.float32(scale)))
    assert not list(Path("run/teacher_logits").glob("raw-*"))
