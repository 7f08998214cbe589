"""What results.json holds: a line a model, means over seeds, and the differences a user decides by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from dagfm.report.comparisons import Entry, Errors, claims, comparisons, spread

FORMAT = 1
_COSTS = ("parameters", "multiply_adds", "training_rows_per_second", "scoring_rows_per_second")


def assemble(
    directory: Path,
    *,
    rows: Mapping[str, int],
    models: Sequence[Entry],
    served_by_seed: Sequence[Entry],
    served: Entry | None,
    weighted: bool = False,
    sampling: Mapping[str, float] | None = None,
    pretrained: Mapping[str, Mapping[str, Any]] | None = None,
    data: Mapping[str, Any] | None = None,
    calibration: Sequence[Mapping[str, Any]] = (),
    reused: Sequence[Mapping[str, Any]] = (),
    config: str | None = None,
    memorize: Mapping[str, Any] | None = None,
    errors: Errors | None = None,
    frontier: Sequence[Mapping[str, Any]] = (),
    recommended: Mapping[str, str] | None = None,
    evaluation: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Put a run's results together.

    ``models``: one entry a model, phase and seed; ``served_by_seed``: of each student and seed, the phase that is best
    on validation; ``served``: the one in the bundle; ``weighted``: whether rows and figures have weights;
    ``sampling``: what was done about down-sampled non-clicks; ``pretrained``: by field, what vectors were found;
    ``data``: what preparation has found out; ``calibration``: by seed, what the teacher's logits were multiplied by;
    ``reused``: what was taken over from other runs;
    ``config``: digest of the configuration that they are of; ``memorize``: what the search for keys found;
    ``errors``: how far test rows can tell models apart;
    ``frontier``: accuracy and cost of several students; ``recommended``: the one worth serving, and why;
    ``evaluation``: what the configuration asks for beside.
    """
    chosen = [{**entry, "phase": "served"} for entry in served_by_seed]
    groups = _groups([*models, *chosen])
    compared = comparisons(groups, errors or {})
    return {
        "format": FORMAT,
        "run": str(directory),
        "config": config,
        "rows": dict(rows),
        "weighted": weighted,
        "sampling": None if sampling is None else dict(sampling),
        "pretrained": dict(pretrained or {}),
        "data": dict(data or {}),
        "calibration": [dict(one) for one in calibration],
        "reused": [dict(one) for one in reused],
        "memorize": None if memorize is None else dict(memorize),
        "models": list(models),
        "served": None if served is None else {key: served[key] for key in ("name", "phase", "seed")},
        "summary": [_summary(group) for group in groups],
        "comparisons": compared,
        "claims": claims(compared),
        "frontier": list(frontier),
        "recommended": recommended,
        "evaluation": evaluation,
    }


def _groups(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Entries that differ in the seed alone, in the order of their first appearance."""
    groups: dict[tuple[str, str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry["name"], entry["role"], entry["phase"]), []).append(entry)
    return list(groups.values())


def _summary(group: Sequence[Entry]) -> dict[str, Any]:
    first = group[0]
    return {
        **{key: first[key] for key in ("name", "role", "network", "phase")},
        "seeds": [entry["seed"] for entry in group],
        **{key: _mean([entry[key] for entry in group]) for key in _COSTS},
        "metrics": {
            part: {key: spread([entry["metrics"][part][key] for entry in group]) for key in first["metrics"][part]}
            for part in ("valid", "test")
        },
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
