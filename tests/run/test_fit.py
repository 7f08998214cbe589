"""A run from end to end: what it leaves, what its results say, which student it serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clicks import STAGES, Finished, Silent, Told, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.files import MANIFEST

PHASE = {"inputs.json", "manifest.json", "metrics.jsonl", "weights.safetensors", "valid-logits.npy", "test-logits.npy"}
BUNDLE = {
    *("calibration.json", "encoder.json", "golden.json", "manifest.json", "reference.json"),
    *("vocabulary", "weights.safetensors"),
}


def _names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def _finished_phases(run: Path) -> set[str]:
    return {
        str(path.parent.relative_to(run))
        for path in run.rglob(MANIFEST)
        if not path.relative_to(run).parts[0].startswith("bundle")
    }


def _lines(results: Mapping[str, Any]) -> list[tuple[str, str, str, int]]:
    return [(line["name"], line["role"], line["phase"], line["seed"]) for line in results["models"]]


def test_a_run_leaves_the_documented_files(finished: Finished) -> None:
    run = finished.run
    documented = {
        *("config.yaml", "environment.json", "prepared.json", "encoder"),
        *("teacher_training", "teacher_logits", "distillation", "finetuning", "baselines"),
        *("results.json", "bundle"),
    }
    assert _names(run) - {".lock"} == documented
    for phase in ("teacher_training/teacher", "distillation/student", "finetuning/student"):
        assert _names(run / phase) == PHASE
    assert _finished_phases(run) == STAGES
    assert _names(finished.bundle) == BUNDLE
    prepared = json.loads((run / "prepared.json").read_text())
    assert Path(prepared["directory"]) == finished.folder / ".dagfm" / "prepared" / prepared["fingerprint"]
    environment = json.loads((run / "environment.json").read_text())
    assert {"dagfm", "python", "torch", "numpy", "polars", "platform", "processor", "threads"} <= environment.keys()


def test_a_phase_leaves_one_line_of_metrics_an_epoch(finished: Finished) -> None:
    for phase in ("teacher_training/teacher", "distillation/student", "finetuning/student"):
        lines = [json.loads(line) for line in (finished.run / phase / "metrics.jsonl").read_text().splitlines()]
        assert [line["epoch"] for line in lines] == [0, 1]
        assert sum(line["best"] for line in lines) >= 1
        best = [line for line in lines if line["best"]][-1]
        entry = finished.entry(phase.split("/")[1], phase.split("/")[0])
        assert entry["best_epoch"] == best["epoch"] + 1
        assert entry["metrics"]["valid"] == best["valid"]


def test_results_have_the_documented_keys(finished: Finished) -> None:
    results = finished.results
    assert json.loads((finished.run / "results.json").read_text()) == results
    assert {"format", "run", "rows", "models", "served", "summary", "comparisons"} <= results.keys()
    assert results["format"] == 1
    assert results["run"] == str(finished.run)
    assert results["rows"] == {"train": 2000, "valid": 500, "test": 500}
    assert _lines(results) == [
        ("teacher", "teacher", "teacher_training", 2022),
        ("student", "student", "distillation", 2022),
        ("student", "student", "finetuning", 2022),
        ("scratch", "baseline", "scratch", 2022),
        ("fm", "baseline", "scratch", 2022),
    ]
    for line in results["models"]:
        assert line["network"] == {"teacher": "crossnet", "fm": "fm"}.get(line["name"], "dagfm")
        for key in ("parameters", "multiply_adds", "training_rows_per_second", "scoring_rows_per_second"):
            assert line[key] > 0
        for part in ("valid", "test"):
            figures = line["metrics"][part]
            assert figures.keys() == {"auc", "logloss", "logit_mse"}
            assert 0 < figures["auc"] < 1
            assert figures["logloss"] > 0
            # A teacher is its own teacher; everybody else has a distance to it.
            assert (figures["logit_mse"] is None) == (line["role"] == "teacher")


def test_summary_and_comparisons_of_one_seed(finished: Finished) -> None:
    results = finished.results
    summary = {(line["name"], line["phase"]): line for line in results["summary"]}
    served = finished.served
    assert summary[("student", "served")]["metrics"]["test"]["auc"] == {
        "mean": served["metrics"]["test"]["auc"],
        "std": None,
    }
    assert [(line["of"], line["minus"]) for line in results["comparisons"]] == [
        ("student", "teacher"),
        ("student", "scratch"),
        ("student", "fm"),
    ]
    for line in results["comparisons"]:
        other = next(model for model in results["models"] if model["name"] == line["minus"])
        for key in ("auc", "logloss"):
            expected = served["metrics"]["test"][key] - other["metrics"]["test"][key]
            assert line[key]["mean"] == pytest.approx(expected, abs=1e-12)


def test_what_is_served_is_best_on_validation_and_in_the_bundle(finished: Finished) -> None:
    phases = [finished.entry("student", phase) for phase in ("distillation", "finetuning")]
    assert finished.served["metrics"]["valid"]["logloss"] == min(line["metrics"]["valid"]["logloss"] for line in phases)
    weights = finished.run / finished.served["phase"] / "student" / "weights.safetensors"
    bundled, trained = (load_file(path) for path in (finished.bundle / "weights.safetensors", weights))
    assert bundled.keys() == trained.keys()
    assert all(np.array_equal(bundled[name], trained[name]) for name in trained)
    card = json.loads((finished.bundle / MANIFEST).read_text())
    assert card["served"] == finished.results["served"] == {
        "name": "student", "phase": finished.served["phase"], "seed": 2022,
    }  # fmt: skip
    assert card["metrics"] == finished.served["metrics"]


@pytest.mark.parametrize("monitor", ["auc", "logloss", "logit_mse"])
@pytest.mark.parametrize("worse", ["distillation", "finetuning"])
def test_the_worse_phase_is_not_served(folder: Path, log_path: Path, monitor: str, worse: str) -> None:
    config = small_config(log_path)
    config["training"][worse] = {"epochs": 1, "learning_rate": 1e-7 if worse == "distillation" else 0.5}
    config["training"]["finetuning"] |= {"monitor": monitor}
    results = dagfm.fit(config, folder / "run", baselines=["fm"], progress=Silent()).results
    figure = {
        line["phase"]: line["metrics"]["valid"][monitor] for line in results["models"] if line["role"] == "student"
    }
    best = max if monitor == "auc" else min
    assert results["served"]["phase"] == best(figure, key=lambda phase: figure[phase])


def test_the_resolved_configuration_gives_the_same_run(finished: Finished, tmp_path: Path) -> None:
    assert dagfm.load_config(finished.run / "config.yaml") == dagfm.load_config(finished.folder / "dagfm.yaml")
    again = dagfm.fit(finished.run / "config.yaml", tmp_path / "again", progress=Silent())
    for phase in ("teacher_training/teacher", "distillation/student", "finetuning/student"):
        name = f"{phase}/weights.safetensors"
        assert (tmp_path / "again" / name).read_bytes() == (finished.run / name).read_bytes()
    served = (finished.bundle / "weights.safetensors").read_bytes()
    assert (again.bundle / "weights.safetensors").read_bytes() == served


def test_an_ensemble_has_a_line_beside_its_members(folder: Path, log_path: Path) -> None:
    teachers = [{"network": "crossnet", "depth": 1}, {"network": "cin", "cin": [4], "name": "wide"}]
    config = small_config(log_path, teacher=teachers)
    run = dagfm.fit(config, folder / "run", progress=Silent())
    assert _lines(run.results)[:3] == [
        ("crossnet-1", "teacher", "teacher_training", 2022),
        ("wide", "teacher", "teacher_training", 2022),
        ("ensemble", "teacher", "teacher_training", 2022),
    ]
    one, other, ensemble = run.results["models"][:3]
    assert ensemble["network"] == "crossnet+cin"
    for key in ("parameters", "multiply_adds"):
        assert ensemble[key] == one[key] + other[key]
    assert ensemble["scoring_rows_per_second"] < min(one["scoring_rows_per_second"], other["scoring_rows_per_second"])
    assert {line["minus"] for line in run.results["comparisons"]} == {"crossnet-1", "wide", "ensemble"}
    assert _finished_phases(run.directory) >= {"teacher_training/crossnet-1", "teacher_training/wide"}


def test_every_student_has_a_bundle_and_the_best_is_served(folder: Path, log_path: Path) -> None:
    students = [{"name": "lean", "depth": 1}, {"name": "rich", "depth": 2, "type": "outer", "connect": "none"}]
    config = small_config(log_path, student=students)
    run = dagfm.fit(config, folder / "run", baselines=["scratch"], progress=Silent())
    assert _names(run.directory / "bundles") == {"lean", "rich"}
    students_lines = [line for line in run.results["models"] if line["role"] == "student"]
    best = min(students_lines, key=lambda line: line["metrics"]["valid"]["logloss"])
    assert run.results["served"] == {key: best[key] for key in ("name", "phase", "seed")}
    for name in ("lean", "rich"):
        bundle = run.directory / "bundles" / name
        assert _names(bundle) == BUNDLE
        assert dagfm.load(bundle).card["served"]["name"] == name
    served = run.directory / "bundles" / best["name"] / "weights.safetensors"
    assert (run.bundle / "weights.safetensors").read_bytes() == served.read_bytes()
    assert [line["name"] for line in run.results["models"] if line["role"] == "baseline"] == [
        "scratch-lean",
        "scratch-rich",
    ]


def test_seeds_repeat_everything_and_report_mean_and_deviation(folder: Path, log_path: Path) -> None:
    run = dagfm.fit(small_config(log_path), folder / "run", seeds=2, baselines=["scratch"], progress=Silent())
    assert _finished_phases(run.directory) == {
        f"{stage}/seed-{seed}{rest}"
        for stage, rest in (
            ("teacher_training/teacher", ""),
            ("teacher_logits", ""),
            ("distillation/student", ""),
            ("finetuning/student", ""),
            ("baselines/scratch", "/decay-0.001-dropout-0.1"),
        )
        for seed in (2022, 2023)
    }
    assert [seed for _, _, _, seed in _lines(run.results)] == [2022] * 4 + [2023] * 4
    for line in run.results["summary"]:
        figures = [
            model["metrics"]["test"]["auc"]
            for model in run.results["models"]
            if (model["name"], model["phase"]) == (line["name"], line["phase"])
        ]
        assert line["seeds"] == [2022, 2023]
        spread = line["metrics"]["test"]["auc"]
        assert spread["std"] > 0
        if line["phase"] != "served":
            assert spread["mean"] == pytest.approx(sum(figures) / 2)
            assert spread["std"] == pytest.approx(abs(figures[0] - figures[1]) / 2**0.5)
    for line in run.results["comparisons"]:
        assert line["auc"]["std"] > 0
    best = min(
        (line for line in run.results["models"] if line["role"] == "student"),
        key=lambda line: line["metrics"]["valid"]["logloss"],
    )
    assert run.results["served"] == {key: best[key] for key in ("name", "phase", "seed")}


def test_a_baseline_is_the_best_of_its_regularisations(folder: Path, log_path: Path) -> None:
    config = small_config(log_path)
    config["training"]["scratch"] |= {"decay": [0.0, 0.01], "dropout": [0.0, 0.3]}
    run = dagfm.fit(config, folder / "run", baselines=["scratch"], progress=Silent())
    tried = [
        json.loads(path.read_text())["result"]
        for path in (run.directory / "baselines" / "scratch").glob(f"*/{MANIFEST}")
    ]
    assert len(tried) == 4
    (line,) = (line for line in run.results["models"] if line["name"] == "scratch")
    assert line["metrics"]["valid"]["auc"] == max(one["metrics"]["valid"]["auc"] for one in tried)


def test_without_candidates_recombined_rows_differ_in_one_column(folder: Path, log_path: Path) -> None:
    fields = [
        {key: value for key, value in field.items() if key != "side"} for field in small_config(log_path)["fields"]
    ]
    run = dagfm.fit(small_config(log_path, fields=fields), folder / "run", progress=Silent())
    pool = {path.stem for path in (run.directory / "teacher_logits").glob("pool*")}
    assert pool == {"pool-base", "pool-donor", "pool-column", "pool-logits"}
    columns = np.load(run.directory / "teacher_logits" / "pool-column.npy")
    assert np.unique(columns).tolist() == list(range(len(fields)))
    assert json.loads((run.bundle / MANIFEST).read_text())["network"]["connect"] == "full"


def test_a_pool_that_cannot_be_is_said_once(folder: Path, log_path: Path) -> None:
    fields = [{"name": "user"}, {"name": "item"}]
    told = Told()
    overrides = ["distillation.pool=sides", "phase=teacher_training"]
    run = dagfm.fit(small_config(log_path, fields=fields), folder / "run", overrides=overrides, progress=told)
    assert sum("no recombined rows: there are no two sides" in line for line in told.lines) == 1
    assert not list((run.directory / "teacher_logits").glob("pool*"))


def test_another_pool_renews_the_logits_and_what_is_distilled_from_them(
    folder: Path, log_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, pool = small_config(log_path), folder / "run" / "teacher_logits"
    dagfm.fit(config, folder / "run", progress=Silent())
    teacher = (folder / "run/teacher_training/teacher/manifest.json").stat().st_mtime_ns
    with caplog.at_level("INFO", logger="dagfm"):
        for override, added in (("pool=fields", "pool-donor"), ("recombined_from=uniform", "pool-candidate")):
            dagfm.fit(config, folder / "run", overrides=[f"distillation.{override}"], progress=Silent())
            assert (pool / f"{added}.npy").exists()
    assert 'pool was null, is "fields"' in caplog.text
    assert 'recombined from was null, is "uniform"' in caplog.text
    assert "distillation/student is redone: teacher logits changed" in caplog.text
    assert (folder / "run/teacher_training/teacher/manifest.json").stat().st_mtime_ns == teacher
    items = np.load(pool / "pool-candidate.npy")
    assert not (pool / "pool-donor.npy").exists()
    assert len(items) == 2 * 1600


def test_an_unknown_baseline_is_refused_from_python_too(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(dagfm.InputError, match="unknown baseline; valid: scratch, fm"):
        dagfm.fit(finished.folder / "dagfm.yaml", tmp_path / "run", baselines=["scrach"], progress=Silent())  # type: ignore[list-item]
    assert not (tmp_path / "run").exists()


def test_next_to_no_recombined_rows_are_one(finished: Finished, tmp_path: Path) -> None:
    source, overrides = finished.folder / "dagfm.yaml", ["distillation.recombined=1e-6"]
    assert dagfm.fit(source, tmp_path / "run", overrides=overrides, progress=Silent()).bundle.is_dir()


def test_decays_that_are_nearly_equal_have_folders_of_their_own(finished: Finished, tmp_path: Path) -> None:
    nearly = ["training.scratch.decay=[0.001, 0.001001]", "training.scratch.epochs=1"]
    source = finished.folder / "dagfm.yaml"
    dagfm.fit(source, tmp_path / "run", overrides=nearly, baselines=["scratch"], progress=Silent())
    held = sorted(path.parent.name for path in (tmp_path / "run" / "baselines").rglob(MANIFEST))
    assert held == ["decay-0.001-dropout-0.1", "decay-0.001001-dropout-0.1"]
