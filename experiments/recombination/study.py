"""What distillation gains from rows nobody logged: none, one column of another row, the other side of another row.

python experiments/recombination/study.py CONFIG RUN [--no-sides] [--seeds 3] [--set KEY=VALUE ...]

Trains one teacher a seed in RUN and distils the student of CONFIG from it with each pool; prints a table of means and
standard deviations over seeds. ``--no-sides`` takes the sides from the fields.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import dagfm
from dagfm.config import Config, load_config

POOLS = {
    "none": ["distillation.recombined=0"],
    "fields": ["distillation.pool=fields"],
    "sides": ["distillation.pool=sides"],
}


def rows_of(config: Config, run: Path, seeds: int, overrides: list[str]) -> Iterator[list[str]]:
    """One row of the table a pool, the teacher's first."""
    for name, own in POOLS.items():
        if name == "sides" and not config.schema_.has_sides:
            continue
        done = dagfm.fit(config, run, overrides=[*overrides, *own], seeds=seeds)
        if name == "none":
            yield ["teacher", *_figures(done, "teacher", "teacher_training", seeds)]
        yield [name, *_figures(done, "student", "distillation", seeds)]


def _figures(done: dagfm.Run, name: str, phase: str, seeds: int) -> list[str]:
    """AUC, logloss and the distance to the teacher's logits relative to their variance, on test rows."""
    lines = [line for line in done.results["models"] if (line["name"], line["phase"]) == (name, phase)]
    columns = [[line["metrics"]["test"][key] for line in lines] for key in ("auc", "logloss")]
    shown = [f"{np.mean(column):.5f} ± {np.std(column, ddof=1):.5f}" for column in columns]
    if name == "teacher":
        return [*shown, "-"]
    folders = [done.directory / "teacher_logits" / (f"seed-{line['seed']}" if seeds > 1 else "") for line in lines]
    spread = [float(np.load(folder / "test.npy").astype(np.float64).var()) for folder in folders]
    relative = [line["metrics"]["test"]["logit_mse"] / one for line, one in zip(lines, spread, strict=True)]
    return [*shown, f"{np.mean(relative):.5f}"]


def _without_sides(source: Path) -> dict[str, Any]:
    written = load_config(source).model_dump(mode="json", exclude_unset=True)
    written["fields"] = [{key: value for key, value in field.items() if key != "side"} for field in written["fields"]]
    return written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--no-sides", action="store_true")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    configuration = load_config(_without_sides(given.config) if given.no_sides else given.config)
    print("| pool | test AUC | test logloss | relative logit MSE |\n| --- | --- | --- | --- |")
    for row in rows_of(configuration, given.run, given.seeds, given.overrides):
        print("| " + " | ".join(row) + " |", flush=True)
