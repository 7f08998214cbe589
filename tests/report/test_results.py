"""Results over seeds: means, deviations, and differences of the same seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dagfm.report.results import assemble
from dagfm.report.table import HEADER, markdown, table_rows, verdict


def entry(name: str, role: str, phase: str, seed: int, auc: float, speed: float | None = 10.0) -> dict[str, Any]:
    figures = {"auc": auc, "logloss": 1 - auc, "logit_mse": None if role == "teacher" else 0.5}
    return {
        "name": name, "role": role, "network": "dagfm", "phase": phase, "seed": seed, "parameters": 1000,
        "multiply_adds": 2000, "training_rows_per_second": speed, "scoring_rows_per_second": 5000.0,
        "metrics": {"valid": figures, "test": figures},
    }  # fmt: skip


SEEDS = (1, 2, 3)
TEACHERS = [entry("teacher", "teacher", "teacher_training", seed, 0.80 + seed / 100, None) for seed in SEEDS]
DISTILLED = [entry("student", "student", "distillation", seed, 0.79 + seed / 100) for seed in SEEDS]
FINETUNED = [entry("student", "student", "finetuning", seed, 0.79 + 2 * seed / 100) for seed in SEEDS]
SCRATCH = [entry("scratch", "baseline", "scratch", seed, 0.70) for seed in SEEDS]


@pytest.fixture
def results() -> dict[str, Any]:
    return assemble(
        Path("runs/x"),
        rows={"train": 1, "valid": 2, "test": 3},
        models=[*TEACHERS, *DISTILLED, *FINETUNED, *SCRATCH],
        served_by_seed=[DISTILLED[0], FINETUNED[1], FINETUNED[2]],
        served=FINETUNED[2],
    )


def test_summary_is_mean_and_sample_deviation(results: dict[str, Any]) -> None:
    lines = {(line["name"], line["phase"]): line for line in results["summary"]}
    assert list(lines) == [
        ("teacher", "teacher_training"),
        ("student", "distillation"),
        ("student", "finetuning"),
        ("scratch", "scratch"),
        ("student", "served"),
    ]
    teacher = lines[("teacher", "teacher_training")]
    assert teacher["seeds"] == [1, 2, 3]
    assert teacher["metrics"]["test"]["auc"] == {"mean": pytest.approx(0.82), "std": pytest.approx(0.01)}
    assert teacher["metrics"]["test"]["logit_mse"] is None
    assert teacher["training_rows_per_second"] is None
    assert lines[("student", "served")]["metrics"]["test"]["auc"]["mean"] == pytest.approx((0.80 + 0.83 + 0.85) / 3)


def test_comparisons_are_of_the_same_seed(results: dict[str, Any]) -> None:
    lines = {line["minus"]: line for line in results["comparisons"]}
    assert list(lines) == ["teacher", "scratch"]
    teacher = lines["teacher"]["auc"]
    assert (teacher["mean"], teacher["std"]) == (pytest.approx(0.02 / 3), pytest.approx(0.0152753, abs=1e-6))
    assert teacher["standard_error"] == pytest.approx(0.0152753 / 3**0.5, abs=1e-6)
    assert teacher["sigma"] == pytest.approx(teacher["mean"] / teacher["standard_error"])
    assert [line["seed"] for line in teacher["by_seed"]] == [1, 2, 3]
    assert [line["difference"] for line in teacher["by_seed"]] == pytest.approx([-0.01, 0.01, 0.02])
    assert lines["scratch"]["auc"]["mean"] == pytest.approx((0.10 + 0.13 + 0.15) / 3)


def test_served_names_its_model(results: dict[str, Any]) -> None:
    assert results["served"] == {"name": "student", "phase": "finetuning", "seed": 3}


def test_the_table_marks_what_is_served_and_shows_deviations(results: dict[str, Any]) -> None:
    rows = table_rows(results)
    assert all(len(row) == len(HEADER) for row in rows)
    assert [row[:3] for row in rows] == [
        ("teacher (dagfm)", "teacher_training", "0.82000 ± 0.01000"),
        ("student (dagfm)", "distillation", "0.81000 ± 0.01000"),
        ("student (dagfm)", "finetuning", "0.83000 ± 0.02000"),
        ("student (dagfm) *", "served", "0.82667 ± 0.02517"),
        ("scratch (dagfm)", "scratch", "0.70000 ± 0.00000"),
    ]
    assert rows[0][HEADER.index("logit MSE")] == "-"
    assert rows[0][HEADER.index("parameters")] == "1,000"


def test_markdown_is_a_table_with_one_line_a_model_and_phase(results: dict[str, Any]) -> None:
    lines = markdown(results).splitlines()
    assert len(lines) == 2 + 5
    assert {line.count("|") for line in lines} == {len(HEADER) + 1}
    assert set(lines[1]) == {"|", "-", " "}


def test_the_verdict_is_a_sentence_a_comparison(results: dict[str, Any]) -> None:
    assert verdict(results) == [
        "student - teacher: AUC +0.00667 ± 0.01528 (+0.8 sigma: undecided), "
        "logloss -0.00667 ± 0.01528 (-0.8 sigma: undecided)",
        "student - scratch: AUC +0.12667 ± 0.02517 (+8.7 sigma: better), "
        "logloss -0.12667 ± 0.02517 (-8.7 sigma: better)",
    ]


def test_a_run_without_students_has_no_verdict() -> None:
    results = assemble(Path("x"), rows={}, models=TEACHERS[:1], served_by_seed=[], served=None)
    assert results["served"] is None
    assert verdict(results) == []
    assert table_rows(results)[0][2] == "0.81000"
