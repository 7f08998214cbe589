"""What differences over seeds carry, and what is said where they carry nothing."""

from __future__ import annotations

from typing import Any

import pytest

from dagfm.report.comparisons import claims, comparisons

Groups = list[list[dict[str, Any]]]


def group(name: str, role: str, aucs: list[float]) -> list[dict[str, Any]]:
    phase = "served" if role == "student" else "scratch"
    return [
        {
            "name": name,
            "role": role,
            "phase": phase,
            "seed": seed,
            "metrics": {"test": {"auc": auc, "logloss": 1 - auc}},
        }
        for seed, auc in enumerate(aucs)
    ]


def verdicts(groups: Groups) -> dict[tuple[str, str], tuple[str, str]]:
    found = claims(comparisons(groups, {}))
    return {(line["claim"], line["figure"]): (line["verdict"], line["reverse"]) for line in found}


@pytest.mark.parametrize(
    ("differences", "expected"),
    [
        # Mean .02, standard error .00577: 3.46 of them.
        ([0.01, 0.02, 0.03], ("holds", "does not hold")),
        ([-0.01, -0.02, -0.03], ("does not hold", "holds")),
        # Mean .02, standard error .01155: 1.73 of them.
        ([0.00, 0.02, 0.04], ("does not hold", "does not hold")),
        ([0.5, 0.5], ("holds", "does not hold")),
        ([0.0, 0.0], ("does not hold", "does not hold")),
        ([0.5], ("one seed: not testable",) * 2),
    ],
)
def test_a_claim_needs_three_standard_errors(differences: list[float], expected: tuple[str, str]) -> None:
    groups = [group("a", "student", [0.25 + value for value in differences])]
    groups.append(group("b", "baseline", [0.25] * len(differences)))
    # A lower logloss is the better one.
    assert verdicts(groups) == {("a > b", "auc"): expected, ("a > b", "logloss"): expected}


def test_an_interval_is_around_its_seeds_difference() -> None:
    groups = [group("a", "student", [0.8, 0.7]), group("b", "teacher", [0.7, 0.7])]
    errors = {("a", "b", 0): {"auc": 0.01, "logloss": None}}
    (line,) = comparisons(groups, errors)
    first, second = line["auc"]["by_seed"]
    assert first["interval"] == pytest.approx([0.1 - 0.0196, 0.1 + 0.0196], abs=1e-5)
    assert second["interval"] is None
    assert line["logloss"]["by_seed"][0]["interval"] is None


def test_models_of_other_seeds_are_not_compared() -> None:
    assert comparisons([group("a", "student", [0.8, 0.7]), group("b", "teacher", [0.7])], {}) == []
