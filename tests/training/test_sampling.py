"""Down-sampled non-clicks: the correction is exact, and figures and bundle are of the whole log."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Silent, click_log, small_config
from hypothesis import given
from hypothesis import strategies as st

import dagfm
from dagfm import metrics
from dagfm.config.data import NegativesConfig
from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Rows
from dagfm.training.sampling import Sampling
from dagfm.training.scoring import figures

shares = st.floats(0.01, 0.99)


def dataset(labels: np.ndarray, weights: np.ndarray | None = None) -> Dataset:
    n = len(labels)
    return Dataset(Rows(np.zeros((n, 1), np.int32), np.zeros((n, 0), np.float32), ()), labels, weights)


@given(st.floats(0.001, 0.999), shares)
def test_the_shift_takes_a_click_rate_of_the_sample_to_that_of_the_log(rate: float, share: float) -> None:
    sampled = rate / (rate + (1 - rate) * share)
    shift = Sampling.of(NegativesConfig(keep=share)).shift
    assert metrics.sigmoid(math.log(sampled / (1 - sampled)) + shift) == pytest.approx(rate, rel=1e-9)
    assert metrics.sigmoid(math.log(sampled / (1 - sampled)) + shift) == pytest.approx(
        sampled / (sampled + (1 - sampled) / share), rel=1e-9
    )  # as He et al. write it


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=20), shares)
def test_a_sampled_row_stands_for_the_nonclicks_that_were_dropped(rows: list[tuple[float, int]], share: float) -> None:
    labels, weights = (np.array(column, np.float32) for column in zip(*rows, strict=True))
    clicks, grown = Sampling(share, everywhere=True).judged(dataset(labels, weights))
    assert grown is not None
    np.testing.assert_allclose(clicks * grown, labels * weights, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose((1 - clicks) * grown, (1 - labels) * weights / share, rtol=1e-4, atol=1e-4)


def test_nothing_sampled_and_rows_that_are_not_sampled_are_judged_as_they_are() -> None:
    data = dataset(np.array([0, 1], np.float32))
    for sampling in (Sampling.of(None), Sampling.of(NegativesConfig(keep=0.1))):
        assert sampling.judged(data) == (data.labels, None)
    assert Sampling.of(None).shift == 0
    everywhere = Sampling.of(NegativesConfig(already_kept=0.1))
    assert everywhere.shift == math.log(0.1)
    labels, weights = everywhere.judged(data)
    assert labels.tolist() == [0, 1]
    assert weights is not None
    np.testing.assert_allclose(weights, [10, 1], rtol=1e-6)


def test_figures_of_a_sample_are_the_logs_on_average() -> None:
    """A log with a known truth, a tenth of its non-clicks, and the model that is right about that tenth."""
    random = np.random.default_rng(0)
    truth = random.normal(-1, 1.5, 400_000)
    labels = (random.random(len(truth)) < metrics.sigmoid(truth)).astype(np.float32)
    model = (truth - math.log(0.1)).astype(np.float32)
    kept = (labels == 1) | (random.random(len(truth)) < 0.1)
    whole = figures(dataset(labels), truth.astype(np.float32), None)
    ours = figures(dataset(labels), model, model, Sampling(0.1))
    theirs = figures(dataset(labels[kept]), model[kept], model[kept] + 1, Sampling(0.1, everywhere=True))
    assert ours["auc"] == pytest.approx(whole["auc"], abs=1e-6)
    assert ours["logloss"] == pytest.approx(whole["logloss"], abs=1e-6)
    assert ours["logit_mse"] == 0
    assert theirs["auc"] == pytest.approx(whole["auc"], abs=2e-3)
    assert theirs["logloss"] == pytest.approx(whole["logloss"], abs=4e-3)
    assert theirs["logit_mse"] == pytest.approx(1, abs=1e-5)


def test_a_run_on_a_sampled_log_tells_and_serves_the_logs_probabilities(folder: Path) -> None:
    random = np.random.default_rng(0)
    whole = click_log(12_000)
    log = whole.filter((pl.col("click") == 1) | (pl.Series(random.random(whole.height)) < 0.25))
    for name, part in (("train", log[:4000]), ("valid", log[4000:5000]), ("test", log[5000:6000])):
        part.write_parquet(f"{name}.parquet")
    config = small_config(Path("train.parquet"))
    config["data"] |= {"valid": "valid.parquet", "test": "test.parquet", "negatives": {"already_kept": 0.25}}
    run = dagfm.fit(config, folder / "run", progress=Silent())
    assert run.results["sampling"] == {
        "negatives_kept": 0.25, "logit_shift": math.log(0.25), "negatives_of_valid_and_test_weigh": 4.0,
    }  # fmt: skip
    assert json.loads((run.bundle / "calibration.json").read_text()) == {"scale": 1.0, "shift": math.log(0.25)}
    test = pl.read_parquet("test.parquet")
    clicks, scorer = test["click"].to_numpy(), run.scorer()
    served = scorer.served_logits(test)
    np.testing.assert_allclose(served, scorer.logits(test) + math.log(0.25), atol=1e-6)
    (told,) = (
        line["metrics"]["test"]
        for line in run.results["models"]
        if (line["name"], line["phase"]) == ("student", run.results["served"]["phase"])
    )
    weights = np.where(clicks == 1, 1.0, 4.0)
    assert told["logloss"] == pytest.approx(metrics.logloss(clicks, served, weights), abs=1e-5)
    assert told["auc"] == pytest.approx(metrics.auc(clicks, served), abs=1e-5)
    # Of the whole log, which it never saw, the bundle is calibrated as well as so small a model can be.
    rate = float(scorer.predict(whole).mean())
    assert rate == pytest.approx(whole["click"].mean(), abs=0.05)


def test_a_run_that_samples_tells_and_serves_the_logs_probabilities(folder: Path) -> None:
    log = click_log(6000)
    for name, part in (("train", log[:4000]), ("valid", log[4000:5000]), ("test", log[5000:])):
        part.write_parquet(f"{name}.parquet")
    config = small_config(Path("train.parquet"))
    config["data"] |= {"valid": "valid.parquet", "test": "test.parquet", "negatives": {"keep": 0.25}}
    run = dagfm.fit(config, folder / "run", progress=Silent())
    clicks = int(log[:4000]["click"].sum())
    kept = (run.results["rows"]["train"] - clicks) / (4000 - clicks)
    assert kept == pytest.approx(0.25, abs=0.05)
    assert (run.results["rows"]["valid"], run.results["rows"]["test"]) == (1000, 1000)
    assert run.results["sampling"]["negatives_of_valid_and_test_weigh"] == 1
    served = run.scorer().served_logits(log[5000:])
    (told,) = (
        line["metrics"]["test"]
        for line in run.results["models"]
        if (line["name"], line["phase"]) == ("student", run.results["served"]["phase"])
    )
    assert told["logloss"] == pytest.approx(metrics.logloss(log[5000:]["click"], served), abs=1e-5)
    assert float(metrics.sigmoid(served).mean()) == pytest.approx(log[5000:]["click"].mean(), abs=0.06)


def test_aggregated_rows_are_not_sampled() -> None:
    label = {"clicks": "c", "impressions": "n"}
    config = {"data": {"train": "x", "label": label, "negatives": {"keep": 0.1}}, "fields": [{"name": "a"}]}
    with pytest.raises(dagfm.InputError, match=r"negatives\.keep: aggregated rows"):
        dagfm.load_config(config)


def test_the_share_is_an_input_of_every_phase(
    folder: Path, log_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = importlib.import_module("dagfm.run.fit")
    config = small_config(log_path)
    prepared = module.prepare(dagfm.load_config(config), folder, Silent())
    monkeypatch.setattr(module, "prepare", lambda *arguments: prepared)
    plain = dagfm.fit(config, folder / "run", progress=Silent()).results
    config["data"]["negatives"] = {"already_kept": 0.5}
    with caplog.at_level("INFO", logger="dagfm"):
        sampled = dagfm.fit(config, folder / "run", progress=Silent()).results
    assert "negatives was null" in caplog.text
    for one, other in zip(plain["models"], sampled["models"], strict=True):
        assert one["metrics"]["test"]["logloss"] != other["metrics"]["test"]["logloss"]
    assert (plain["sampling"], plain["weighted"]) == (None, False)


@pytest.mark.parametrize("written", [{}, {"keep": 0.1, "already_kept": 0.1}])
def test_both_keys_or_none_are_refused(written: dict[str, float]) -> None:
    config = {"data": {"train": "x", "label": "y", "negatives": written}, "fields": [{"name": "a"}]}
    with pytest.raises(dagfm.InputError, match=r"negatives: .*either 'keep' .* or 'already_kept'"):
        dagfm.load_config(config)
