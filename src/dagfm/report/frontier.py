"""Accuracy against cost: which students nobody beats in both, and which one is worth serving."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADER = (
    "student", "test AUC", "test logloss", "µs a row", "rows/s", "embedding", "network", "multiply-adds", "Pareto",
)  # fmt: skip


def marked(students: Sequence[Mapping[str, Any]], monitor: str) -> list[dict[str, Any]]:
    """``students`` with what their figures say of each other.

    ``pareto``: no other is at least as good on validation rows and as fast, and better in one. ``within_noise``: worse
    than the best by no more than one standard error of the difference. ``recommended``: the fastest of these.
    Each has ``valid`` figures, ``behind`` (its difference to the best by ``monitor``) and ``microseconds_per_row``.
    """
    sign = -1 if monitor == "auc" else 1
    points = [(sign * one["valid"][monitor], one["microseconds_per_row"]) for one in students]
    near = [_within_noise(one["behind"], sign) for one in students]
    fastest = min(
        (one["microseconds_per_row"], one["multiply_adds"], index) for index, one in enumerate(students) if near[index]
    )[-1]
    return [
        {
            **one,
            "pareto": not any(_beats(other, mine) for other in points),
            "within_noise": near[index],
            "recommended": index == fastest,
        }
        for index, (one, mine) in enumerate(zip(students, points, strict=True))
    ]


def recommendation(frontier: Sequence[Mapping[str, Any]], monitor: str) -> dict[str, str] | None:
    """Which student to serve, and why in a sentence; None without students to choose from."""
    chosen = next((one for one in frontier if one["recommended"]), None)
    if chosen is None:
        return None
    best = next(one for one in frontier if one["best"])
    if chosen is best:
        why = f"the best on validation rows by {monitor}, and none within one standard error of it is faster"
    else:
        faster = best["microseconds_per_row"] / chosen["microseconds_per_row"]
        behind = chosen["behind"]
        why = (
            f"{faster:.2f} times as fast as '{best['name']}', the best on validation rows by {monitor}, and within "
            f"noise of it: {behind['mean']:+.5f}, one standard error is {behind['standard_error']:.5f}"
        )
    return {"name": chosen["name"], "why": why}


def frontier_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row a student, the fastest first; what is recommended is marked."""
    return [
        (
            f"{one['name']}{' +' if one['recommended'] else ''}",
            f"{one['test']['auc']:.5f}",
            f"{one['test']['logloss']:.5f}",
            f"{one['microseconds_per_row']:.1f}",
            f"{one['rows_per_second']:,.0f}",
            _size(one["bytes"]["embedding"]),
            _size(one["bytes"]["network"]),
            f"{one['multiply_adds']:,.0f}",
            "yes" if one["pareto"] else "no",
        )
        for one in sorted(results.get("frontier", ()), key=lambda one: one["microseconds_per_row"])
    ]


def advice(results: Mapping[str, Any]) -> str | None:
    """What the frontier comes to; None where there was nothing to choose."""
    recommended = results.get("recommended")
    if recommended is None:
        return None
    served = results["served"]["name"]
    told = f"+ to serve: {recommended['name']}: {recommended['why']}"
    if served != recommended["name"]:
        told += f"; bundle/ holds {served}, the best on validation rows, bundles/{recommended['name']}/ this one"
    return told


def _within_noise(behind: Mapping[str, float | None], sign: int) -> bool:
    mean, error = behind["mean"], behind["standard_error"]
    return mean is not None and (sign * mean <= 0 or (error is not None and sign * mean <= error))


def _beats(other: tuple[float, float], mine: tuple[float, float]) -> bool:
    return other != mine and other[0] <= mine[0] and other[1] <= mine[1]


def _size(count: int) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000  # type: ignore[assignment]
    return f"{count:.3g} GB"
