"""What a student is worth beside its teachers and the baselines: paired differences, and the claims they carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from statistics import fmean, stdev
from typing import Any

from dagfm.metrics import Difference

Entry = Mapping[str, Any]
Errors = Mapping[tuple[str, str, int], Mapping[str, float | None]]
"""By the names of two models and a seed: standard errors over test rows of the differences in AUC and logloss."""

SIGMAS = 3.0
"""Standard errors over seeds that a difference must have to be claimed."""
HOLDS, FAILS, UNTESTABLE = "holds", "does not hold", "one seed: not testable"
_BETTER = {"auc": 1, "logloss": -1}
"""The sign of a difference that is an improvement."""


def comparisons(groups: Sequence[Sequence[Entry]], errors: Errors) -> list[dict[str, Any]]:
    """Test figures of every served student minus those of every teacher and baseline, seed by seed.

    ``groups``: entries that differ in the seed alone; of students those whose phase is ``served`` are compared.
    """
    students = [group for group in groups if group[0]["phase"] == "served"]
    others = [group for group in groups if group[0]["role"] != "student"]
    return [
        {
            "of": student[0]["name"],
            "minus": other[0]["name"],
            **{key: _paired(student, other, key, errors) for key in _BETTER},
        }
        for student in students
        for other in others
        if [entry["seed"] for entry in student] == [entry["seed"] for entry in other]
    ]


def claims(found: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of every comparison and figure, whether the student is better, and whether the other is, by ``SIGMAS``."""
    return [
        {
            "claim": f"{line['of']} > {line['minus']}",
            "of": line["of"],
            "minus": line["minus"],
            "figure": key,
            **{name: line[key][name] for name in ("mean", "standard_error", "sigma")},
            "seeds": len(line[key]["by_seed"]),
            "verdict": verdict_of(line[key], sign),
            "reverse": verdict_of(line[key], -sign),
        }
        for line in found
        for key, sign in _BETTER.items()
    ]


def verdict_of(difference: Mapping[str, Any], sign: int) -> str:
    """Whether a difference over seeds has this sign by ``SIGMAS`` standard errors."""
    error = difference["standard_error"]
    if error is None:
        return UNTESTABLE
    amount = sign * difference["mean"]
    return HOLDS if amount > 0 and amount >= SIGMAS * error else FAILS


def spread(values: Sequence[float | None]) -> dict[str, float | None] | None:
    """Mean and sample standard deviation over seeds (None for one seed); None where the figure does not exist."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"mean": fmean(known), "std": stdev(known) if len(known) > 1 else None}


def _paired(student: Sequence[Entry], other: Sequence[Entry], key: str, errors: Errors) -> dict[str, Any]:
    by_seed = []
    for mine, theirs in zip(student, other, strict=True):
        difference = float(mine["metrics"]["test"][key] - theirs["metrics"]["test"][key])
        error = errors.get((mine["name"], theirs["name"], mine["seed"]), {}).get(key)
        interval = None if error is None else list(Difference(difference, error).interval())
        by_seed.append({"seed": mine["seed"], "difference": difference, "interval": interval})
    differences = [line["difference"] for line in by_seed]
    std = stdev(differences) if len(differences) > 1 else None
    error = None if std is None else std / sqrt(len(differences))
    mean = fmean(differences)
    return {
        "mean": mean,
        "std": std,
        "standard_error": error,
        "sigma": mean / error if error else None,
        "by_seed": by_seed,
    }
