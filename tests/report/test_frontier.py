"""The Pareto set, and the student that is worth serving."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.report.frontier import HEADER, advice, frontier_rows, marked, recommendation
from dagfm.report.table import markdown


def student(name: str, logloss: float, time: float, error: float | None = 0.001) -> dict[str, Any]:
    best = 0.5
    figures = {"auc": 1 - logloss, "logloss": logloss, "logit_mse": None}
    return {
        "name": name, "phase": "finetuning", "seed": 1, "parameters": 10, "multiply_adds": 20, "best": logloss == best,
        "valid": figures, "test": figures, "behind": {"mean": logloss - best, "standard_error": error},
        "microseconds_per_row": time, "rows_per_second": 1e6 / time,
        "bytes": {"bundle": 9999, "embedding": 1500, "network": 999},
    }  # fmt: skip


def told(*students: dict[str, Any], monitor: str = "logloss") -> dict[str, tuple[bool, bool, bool]]:
    return {one["name"]: (one["pareto"], one["within_noise"], one["recommended"]) for one in marked(students, monitor)}


def test_the_fastest_within_noise_is_recommended() -> None:
    found = told(student("best", 0.5, 40.0), student("near", 0.5008, 20.0), student("far", 0.502, 10.0))
    assert found == {"best": (True, True, False), "near": (True, True, True), "far": (True, False, False)}


def test_who_is_beaten_in_both_is_not_on_the_frontier() -> None:
    found = told(student("best", 0.5, 20.0), student("slower", 0.5005, 20.0), student("worse", 0.5, 21.0))
    assert found == {"best": (True, True, True), "slower": (False, True, False), "worse": (False, True, False)}


def test_without_an_error_only_the_best_is_near_itself() -> None:
    assert told(student("best", 0.5, 40.0, error=None), student("other", 0.5001, 20.0, error=None)) == {
        "best": (True, True, True),
        "other": (True, False, False),
    }


def test_of_auc_more_is_better() -> None:
    best, other = student("best", 0.5, 40.0), student("other", 0.502, 50.0)
    other["behind"] = {"mean": -0.002, "standard_error": 0.003}
    assert told(best, other, monitor="auc") == {"best": (True, True, True), "other": (False, True, False)}


def results(*students: dict[str, Any]) -> dict[str, Any]:
    frontier = marked(students, "logloss")
    return {
        "summary": [], "comparisons": [], "served": {"name": "best"}, "frontier": frontier,
        "recommended": recommendation(frontier, "logloss"),
    }  # fmt: skip


def test_the_recommendation_says_why_and_where_it_lies() -> None:
    found = results(student("best", 0.5, 40.0), student("near", 0.5008, 20.0))
    assert found["recommended"] == {
        "name": "near",
        "why": "2.00 times as fast as 'best', the best on validation rows by logloss, and within noise of it: "
        "+0.00080, one standard error is 0.00100",
    }
    assert str(advice(found)).endswith("; bundle/ holds best, the best on validation rows, bundles/near/ this one")
    alone = results(student("best", 0.5, 10.0), student("near", 0.5008, 20.0))
    assert alone["recommended"]["why"].startswith("the best on validation rows by logloss, and none")
    assert "bundle/" not in str(advice(alone))


def test_the_table_has_a_row_a_student_the_fastest_first() -> None:
    found = results(student("best", 0.5, 40.0), student("near", 0.5008, 20.0))
    rows = frontier_rows(found)
    assert [row[0] for row in rows] == ["near +", "best"]
    assert rows[1] == ("best", "0.50000", "0.50000", "40.0", "25,000", "1.5 kB", "999 B", "20", "yes")
    assert "| " + " | ".join(HEADER) + " |" in markdown(found).splitlines()


def test_without_students_there_is_nothing_to_say() -> None:
    assert recommendation([], "logloss") is None
    assert frontier_rows({}) == []
    assert advice({}) is None


@pytest.mark.parametrize("size", ["2.5 MB", "3 GB"])
def test_sizes_have_units(size: str) -> None:
    one = student("best", 0.5, 40.0)
    one["bytes"]["embedding"] = {"2.5 MB": 2_500_000, "3 GB": 3_000_000_000}[size]
    assert frontier_rows(results(one))[0][5] == size
