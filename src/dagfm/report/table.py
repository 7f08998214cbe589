"""The table that a user decides by, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagfm.report.comparisons import HOLDS
from dagfm.report.frontier import HEADER as FRONTIER
from dagfm.report.frontier import frontier_rows

HEADER = (
    "model", "phase", "test AUC", "test logloss", "logit MSE", "parameters", "multiply-adds", "scoring rows/s",
)  # fmt: skip


def table_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row a model and phase: means over the seeds, with the standard deviation where there are several.

    What is served is marked: the phase itself, or of several seeds a row of its own, since each may serve another.
    """
    return [
        (
            *told,
            *(_figure(line["metrics"]["test"][key]) for key in ("auc", "logloss", "logit_mse")),
            *(_cost(line[key]) for key in ("parameters", "multiply_adds", "scoring_rows_per_second")),
        )
        for told, line in _lines(results)
    ]


def group_header(results: Mapping[str, Any]) -> tuple[str, ...]:
    """The header of ``group_rows``."""
    return ("model", "phase", *(key.upper() for key in _within(results)))


def group_rows(results: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The same rows with the test figures within groups; none where results have no groups."""
    keys = _within(results)
    return [(*told, *(_figure(line["metrics"]["test"][key]) for key in keys)) for told, line in _lines(results) if keys]


def _within(results: Mapping[str, Any]) -> list[str]:
    figures = results["summary"][0]["metrics"]["test"] if results["summary"] else {}
    return [key for key in figures if key == "gauc" or key.startswith("ndcg")]


def _lines(results: Mapping[str, Any]) -> list[tuple[tuple[str, str], Mapping[str, Any]]]:
    """The lines of the summary that are shown, each with what model and phase are called."""
    chosen = results["served"] or {}
    several = any(len(line["seeds"]) > 1 for line in results["summary"])
    served = (chosen.get("name"), "served" if several else chosen.get("phase"))
    names = [line["name"] for line in results["summary"]]
    found = []
    for line in sorted(results["summary"], key=lambda line: names.index(line["name"])):
        if line["phase"] == "served" and not several:
            continue
        mark = " *" if (line["name"], line["phase"]) == served else ""
        found.append(((f"{line['name']} ({line['network']}){mark}", line["phase"]), line))
    return found


def markdown(results: Mapping[str, Any]) -> str:
    """The table in Markdown, and that of the frontier where there are several students."""
    tables = [markdown_table(HEADER, table_rows(results))]
    if within := group_rows(results):
        tables.append(markdown_table(group_header(results), within))
    if frontier := frontier_rows(results):
        tables.append(markdown_table(FRONTIER, frontier))
    return "\n\n".join(tables)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def verdict(results: Mapping[str, Any]) -> list[str]:
    """One sentence a comparison: what the served student is worth beside its teacher and the baselines.

    Over seeds with the standard deviation, how many standard errors that is and what it carries; of one seed with the
    95 % interval over test rows. Results of an older dagfm tell less.
    """
    words = {"auc": "AUC", "logloss": "logloss"}
    claims = {(line["of"], line["minus"], line["figure"]): line for line in results.get("claims", ())}
    return [
        f"{line['of']} - {line['minus']}: "
        + ", ".join(
            f"{word} {_difference(line[key], claims.get((line['of'], line['minus'], key)))}"
            for key, word in words.items()
        )
        for line in results["comparisons"]
    ]


def reused(results: Mapping[str, Any]) -> list[str]:
    """One sentence a run that something was taken over from: what, and how long its training took there."""
    found = results.get("reused", ())
    sentences = []
    for run in dict.fromkeys(one["run"] for one in found):
        taken = [one for one in found if one["run"] == run]
        seeds = len({one["seed"] for one in found}) > 1
        names = [
            " ".join(filter(None, (one["phase"], one["name"], f"seed {one['seed']}" if seeds else None)))
            for one in taken
        ]
        seconds = sum(one["training_seconds"] or 0.0 for one in taken)
        sentences.append(f"not trained again, from {run}: {', '.join(names)} ({seconds:,.0f} s of training there)")
    return sentences


def _difference(difference: Mapping[str, Any], claim: Mapping[str, Any] | None) -> str:
    told = f"{difference['mean']:+.5f}"
    if difference["std"] is not None:
        told += f" ± {difference['std']:.5f}"
    if claim is None:
        return told
    if claim["sigma"] is not None:
        return f"{told} ({claim['sigma']:+.1f} sigma: {_judged(claim)})"
    interval = difference["by_seed"][0]["interval"] if len(difference["by_seed"]) == 1 else None
    return told if interval is None else f"{told} [{interval[0]:+.5f}, {interval[1]:+.5f}]"


def _judged(claim: Mapping[str, Any]) -> str:
    if claim["verdict"] == HOLDS:
        return "better"
    return "worse" if claim["reverse"] == HOLDS else "undecided"


def _cost(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _figure(value: Mapping[str, Any] | None) -> str:
    if value is None:
        return "-"
    spread = value["std"]
    return f"{value['mean']:.5f}" + (f" ± {spread:.5f}" if spread is not None else "")
