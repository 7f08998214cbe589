"""The table that a user decides by, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADER = (
    "model", "phase", "test AUC", "test logloss", "logit MSE", "parameters", "multiply-adds", "scoring rows/s",
)  # fmt: skip


def table_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row a model and phase: means over the seeds, with the standard deviation where there are several.

    What is served is marked: the phase itself, or of several seeds a row of its own, since each may serve another.
    """
    chosen = results["served"] or {}
    several = any(len(line["seeds"]) > 1 for line in results["summary"])
    served = (chosen.get("name"), "served" if several else chosen.get("phase"))
    names = [line["name"] for line in results["summary"]]
    rows: list[tuple[str, ...]] = []
    for line in sorted(results["summary"], key=lambda line: names.index(line["name"])):
        if line["phase"] == "served" and not several:
            continue
        test = line["metrics"]["test"]
        mark = " *" if (line["name"], line["phase"]) == served else ""
        rows.append(
            (
                f"{line['name']} ({line['network']}){mark}",
                line["phase"],
                _figure(test["auc"]),
                _figure(test["logloss"]),
                _figure(test["logit_mse"]),
                *(_cost(line[key]) for key in ("parameters", "multiply_adds", "scoring_rows_per_second")),
            )
        )
    return rows


def markdown(results: Mapping[str, Any]) -> str:
    """The table in Markdown."""
    lines = [HEADER, ("---",) * len(HEADER), *table_rows(results)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def verdict(results: Mapping[str, Any]) -> list[str]:
    """One sentence a comparison: what the served student is worth beside its teacher and the baselines."""
    sentences = []
    for difference in results["comparisons"]:
        spread = difference["auc"]["std"]
        sentences.append(
            f"{difference['of']} - {difference['minus']}: AUC {difference['auc']['mean']:+.5f}"
            + (f" ± {spread:.5f}" if spread is not None else "")
            + f", logloss {difference['logloss']['mean']:+.5f}"
        )
    return sentences


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _figure(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "-"
    spread = value["std"]
    return f"{value['mean']:.5f}" + (f" ± {spread:.5f}" if spread is not None else "")
