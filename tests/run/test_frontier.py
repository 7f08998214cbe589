"""The frontier of a run with several students."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from clicks import Silent, click_log, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.cli.tables import print_results

STUDENTS = [{"name": "lean", "depth": 1}, {"name": "rich", "depth": 3, "type": "outer"}]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> dagfm.Run:
    folder = tmp_path_factory.mktemp("frontier")
    click_log(1500).write_parquet(folder / "clicks.parquet")
    config = small_config(folder / "clicks.parquet", student=STUDENTS)
    (folder / "dagfm.yaml").write_text(json.dumps(config))
    return dagfm.fit(folder / "dagfm.yaml", folder / "run", progress=Silent())


def test_every_student_is_measured(run: dagfm.Run) -> None:
    frontier = run.results["frontier"]
    assert [one["name"] for one in frontier] == ["lean", "rich"]
    for one in frontier:
        place = run.directory / "bundles" / one["name"]
        arrays = load_file(place / "weights.safetensors")
        assert one["bytes"]["embedding"] == arrays["embedding.weight"].nbytes
        assert one["bytes"]["network"] == sum(array.nbytes for name, array in arrays.items() if "network" in name)
        assert one["bytes"]["bundle"] == sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        assert one["microseconds_per_row"] > 0
        assert one["rows_per_second"] > 0
        entry = next(
            line for line in run.results["models"] if (line["name"], line["phase"]) == (one["name"], one["phase"])
        )
        for key in ("parameters", "multiply_adds"):
            assert one[key] == entry[key]
        assert (one["valid"], one["test"]) == (entry["metrics"]["valid"], entry["metrics"]["test"])
    assert sum(one["recommended"] for one in frontier) == 1
    assert [one["best"] for one in frontier] == [one["name"] == run.results["served"]["name"] for one in frontier]


def test_the_distance_to_the_best_has_the_error_of_its_rows(run: dagfm.Run) -> None:
    losses = {}
    prepared = Path(json.loads((run.directory / "prepared.json").read_text())["directory"])
    labels = np.load(prepared / "valid" / "labels.npy")
    for one in run.results["frontier"]:
        logits = np.load(run.directory / one["phase"] / one["name"] / "valid-logits.npy").astype(np.float64)
        losses[one["name"]] = np.log1p(np.exp(logits)) - labels * logits
    best = next(one["name"] for one in run.results["frontier"] if one["best"])
    for one in run.results["frontier"]:
        each = losses[one["name"]] - losses[best]
        assert one["behind"]["mean"] == pytest.approx(each.mean(), abs=1e-9)
        assert one["behind"]["standard_error"] == pytest.approx(each.std(ddof=1) / len(each) ** 0.5, abs=1e-12)


@pytest.mark.parametrize("monitor", ["auc", "logit_mse"])
def test_whatever_is_monitored(run: dagfm.Run, monitor: str, tmp_path: Path) -> None:
    config = run.directory.parent / "dagfm.yaml"
    overrides = [f"training.finetuning.monitor={monitor}"]
    frontier = dagfm.fit(config, tmp_path / "run", overrides=overrides, progress=Silent()).results["frontier"]
    best = next(one for one in frontier if one["best"])
    for one in frontier:
        assert one["behind"]["mean"] == one["valid"][monitor] - best["valid"][monitor]
        assert one["behind"]["standard_error"] >= 0


def test_a_run_told_again_is_not_timed_again(run: dagfm.Run) -> None:
    before = (run.directory / "results.json").read_bytes()
    dagfm.fit(run.directory.parent / "dagfm.yaml", run.directory, progress=Silent())
    assert (run.directory / "results.json").read_bytes() == before


def test_the_terminal_shows_it(run: dagfm.Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(run.directory, run.results)
    out = capsys.readouterr().out
    assert "µs a row" in out
    assert f"+ to serve: {run.results['recommended']['name']}: " in out
