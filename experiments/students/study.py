"""What each choice of a student and of its distillation is worth: head, first-order weights, width, start, clipping.

python experiments/students/study.py CONFIG RUN [--seeds 2] [--only WORD] [--set KEY=VALUE ...]

Trains one teacher a seed in RUN and distils every student below from it; prints a line each as it is done: means over
seeds, and the difference to the first line, seed by seed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import dagfm

Figures = dict[str, np.ndarray]
OWN, SEPARATE = "distillation.embedding=own", "distillation.head=separate"


def student(**settings: Any) -> str:
    return f"student={json.dumps({'network': 'dagfm', **settings})}"


VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    **{f"own, {epochs} epochs": (OWN, f"training.distillation.epochs={epochs}") for epochs in (12, 24, 48)},
    "size 8": (student(size=8),),
    "size 8, own, 12 epochs": (student(size=8), OWN, "training.distillation.epochs=12"),
    "size 24": (student(size=24),),
    "size 24, own, 12 epochs": (student(size=24), OWN, "training.distillation.epochs=12"),
    "mlp": (student(head="mlp"),),
    "depth 1": (student(depth=1),),
    "depth 1, mlp": (student(depth=1, head="mlp"),),
    "first order": (student(first_order=True),),
    "separate head": (SEPARATE,),
    "separate head, alpha 0.1": (SEPARATE, "distillation.alpha=0.1"),
    "alpha 0.1": ("distillation.alpha=0.1",),
    **{f"clip {quantile}": (f"distillation.clip={quantile}",) for quantile in (0.001, 0.01, 0.05)},
}
COLUMNS = ("student", "distilled: AUC", "logloss", "relative MSE", "served: AUC", "logloss", "AUC - default's")


def lines(config: Path, run: Path, seeds: int, only: str, overrides: list[str]) -> Iterator[list[str]]:
    """One line of the table a student."""
    first: Figures | None = None
    for name, own in VARIANTS.items():
        if first is not None and only not in name:
            continue
        done = dagfm.fit(config, run, overrides=[*overrides, *own], seeds=seeds)
        distilled, served = _figures(done, "distillation"), _figures(done, "served")
        first = first or served
        behind = served["auc"] - first["auc"]
        yield [
            name,
            f"{distilled['auc'].mean():.5f}",
            f"{distilled['logloss'].mean():.5f}",
            f"{(distilled['logit_mse'] / _spread(done, seeds)).mean():.5f}",
            f"{served['auc'].mean():.5f}",
            f"{served['logloss'].mean():.5f}",
            ", ".join(f"{one:+.5f}" for one in behind),
        ]


def _figures(done: dagfm.Run, phase: str) -> Figures:
    """Test figures of the student, a number a seed; ``served`` is the phase that is better on validation rows."""
    by_seed: dict[int, list[Any]] = {}
    for line in done.results["models"]:
        if line["role"] == "student":
            by_seed.setdefault(line["seed"], []).append(line)
    chosen = [
        min(found, key=lambda line: line["metrics"]["valid"]["logloss"])
        if phase == "served"
        else next(line for line in found if line["phase"] == phase)
        for found in by_seed.values()
    ]
    return {key: np.array([line["metrics"]["test"][key] for line in chosen]) for key in ("auc", "logloss", "logit_mse")}


def _spread(done: dagfm.Run, seeds: int) -> np.ndarray:
    """Variance of the logits that were learnt, on test rows, a number a seed."""
    folder = done.directory / "teacher_logits"
    folders = sorted(folder.glob("seed-*")) if seeds > 1 else [folder]
    return np.array([np.load(one / "test.npy").astype(np.float64).var() for one in folders])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", metavar="WORD", help="beside the default, students whose name has it")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    print("| " + " | ".join(COLUMNS) + " |\n|" + " --- |" * len(COLUMNS))
    for row in lines(given.config, given.run, given.seeds, given.only, given.overrides):
        print("| " + " | ".join(row) + " |", flush=True)
