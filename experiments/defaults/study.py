"""Is a setting better than the default on data that nobody tuned it for?

    python experiments/defaults/study.py default --ml-100k data/ml-100k --ml-1m experiments/ml-1m/ml-1m.parquet
    python experiments/defaults/study.py slow --ml-100k data/ml-100k --set training.distillation.learning_rate=0.005
    python experiments/defaults/study.py none --no-scratch --reuse default --set student.connect=none

Runs one configuration, the defaults with the given ``--set``, over up to five data sets and some seeds, adds a line for
every model to ``results.jsonl`` beside this file, and prints means with paired differences to the configuration
``--base``. What is in the file is not run again, and what a configuration named by ``--reuse`` has trained from equal
inputs is taken over from its run. MovieLens 100k and 1M are left out unless their place is given; three logs are made
where ``--work`` says:

- sparse: 300,000 rows, 12 fields, 100,000 ids: most ids are seen a few times;
- imbalanced: 500,000 rows, 15 fields, a third of them numbers, 2 % clicks, interactions up to order 3;
- usage (usage.py): 288,000 rows, 10 fields, two non-clicks a click: pairs of user and item come back.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from usage import make_usage

import dagfm
from dagfm.data.simulate import simulate
from dagfm.progress import LoggedProgress

HERE = Path(__file__).parent
SIMULATED: dict[str, dict[str, Any]] = {
    "sparse": {"rows": 300_000, "fields": 12, "ids": 100_000, "order": 2, "zipf": 0.8, "seed": 11},
    "imbalanced": {"rows": 500_000, "fields": 15, "ids": 20_000, "order": 3, "click_rate": 0.02, "seed": 12},
}
FIGURES = {"auc": "AUC", "logloss": "logloss", "logit_mse": "logit MSE"}

Line = dict[str, Any]
"""Data set, configuration, seed, model, figures on test rows and seconds of training."""


def data_sets(options: argparse.Namespace) -> Iterator[tuple[str, dict[str, Any]]]:
    """The configuration of every data set asked for, paths absolute."""
    if options.ml_100k:
        config = read(HERE.parent / "ml-100k" / "default" / "dagfm.yaml")
        folder = options.ml_100k.resolve()
        config["data"]["train"] = str(folder / "ml-100k.inter")
        config["data"]["tables"] = {"user_id": str(folder / "ml-100k.user"), "item_id": str(folder / "ml-100k.item")}
        yield "ml-100k", config
    if options.ml_1m:
        config = read(HERE.parent / "ml-1m" / "dagfm.yaml")
        config["data"]["train"] = str(options.ml_1m.resolve())
        yield "ml-1m", config
    for name, how in SIMULATED.items():
        made = simulate(options.work.resolve() / name, force=False, progress=LoggedProgress(), **how)
        config = read(made.config)
        config["data"] = {
            key: str(made.config.parent / value) if key in ("train", "valid", "test") and value else value
            for key, value in config["data"].items()
        }
        yield name, config
    folder = options.work.resolve() / "usage"
    if not (folder / "dagfm.yaml").exists():
        make_usage(folder)
    config = read(folder / "dagfm.yaml")
    config["data"] |= {part: str(folder / f"{part}.parquet") for part in ("train", "valid", "test")}
    yield "usage", config


def read(path: Path) -> dict[str, Any]:
    """A configuration as it is written."""
    config: dict[str, Any] = yaml.safe_load(path.read_text())
    return config


def run(name: str, data: str, config: dict[str, Any], seed: int, options: argparse.Namespace) -> list[Line]:
    """The lines of one fit."""
    place = options.work.resolve() / "runs" / data / f"{name}-{seed}"
    overrides = [*options.set, f"training.seed={seed}"]
    started = time.perf_counter()
    results = dagfm.fit(
        config,
        place,
        overrides=overrides,
        baselines=options.baseline if options.scratch else (),
        progress=LoggedProgress(),
        reuse=[place.parent / f"{other}-{seed}" for other in options.reuse],
    ).results
    seconds = time.perf_counter() - started
    return [
        {
            "data": data,
            "name": name,
            "set": options.set,
            "seed": seed,
            "model": f"{model['name']}, {model['phase']}",
            **{figure: model["metrics"]["test"][figure] for figure in FIGURES},
            "seconds": model.get("training_seconds"),
            "fit_seconds": seconds,
        }
        for model in results["models"]
    ]


def table(lines: Iterable[Line], base: str) -> str:
    """Means over seeds as Markdown, and differences to ``base`` over the seeds that both have."""
    groups: dict[tuple[str, str, str], dict[int, Line]] = {}
    for line in lines:
        groups.setdefault((line["data"], line["model"], line["name"]), {})[line["seed"]] = line
    titles = " | ".join(f"{title} | − {base}" for title in FIGURES.values())
    rows = [f"| data | model | configuration | seeds | {titles} | seconds |", "|---" * (5 + 2 * len(FIGURES)) + "|"]
    for (data, model, name), mine in sorted(groups.items()):
        cells = []
        for figure in FIGURES:
            values = [line[figure] for line in mine.values() if line[figure] is not None]
            theirs = groups.get((data, model, base), {}) if name != base else {}
            pairs = [(mine[seed][figure], theirs[seed][figure]) for seed in sorted(mine.keys() & theirs.keys())]
            cells += [f"{statistics.mean(values):.5f}" if values else "", difference(pairs)]
        seconds = [line["seconds"] for line in mine.values() if line["seconds"] is not None]
        spent = f"{statistics.mean(seconds):,.0f}" if seconds else ""
        rows.append(f"| {data} | {model} | {name} | {len(mine)} | {' | '.join(cells)} | {spent} |")
    return "\n".join(rows)


def difference(pairs: list[tuple[float | None, float | None]]) -> str:
    """The mean paired difference and its standard error, which takes two pairs."""
    gaps = [one - other for one, other in pairs if one is not None and other is not None]
    if not gaps:
        return ""
    error = f" ± {statistics.stdev(gaps) / len(gaps) ** 0.5:.5f}" if len(gaps) > 1 else ""
    return f"{statistics.mean(gaps):+.5f}{error}"


def read_lines(path: Path) -> list[Line]:
    """What earlier runs have left; a line cut short by a kill is no line."""
    if not path.exists():
        return []
    text = path.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        path.write_text(whole)
    return [json.loads(line) for line in whole.splitlines()]


def main() -> None:
    """Run what is missing and print the table of everything that there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="what the configuration is called")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of dagfm fit")
    parser.add_argument("--base", default="default", help="configuration that the others are compared with")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--baseline", action="append", default=["scratch"], choices=["scratch", "fm"])
    parser.add_argument("--no-scratch", dest="scratch", action="store_false", help="no baselines")
    parser.add_argument("--reuse", action="append", default=[], metavar="NAME", help="configuration to take over from")
    parser.add_argument("--ml-100k", type=Path, metavar="DIR", help="folder of ml-100k.inter, .user and .item")
    parser.add_argument("--ml-1m", type=Path, metavar="FILE", help="what experiments/ml-1m/build.py made")
    parser.add_argument("--only", action="append", default=[], metavar="DATA", help="of the data sets, these alone")
    parser.add_argument("--work", type=Path, default=Path("runs/defaults"), help="simulated logs and runs")
    parser.add_argument("--results", type=Path, default=HERE / "results.jsonl")
    options = parser.parse_args()
    done = read_lines(options.results)
    for line in done:
        if line["name"] == options.name and line["set"] != options.set:
            sys.exit(f"'{options.name}' is in {options.results} with --set {line['set']}; give this one another name")
    there = {(line["data"], line["name"], line["seed"]) for line in done}
    for data, config in data_sets(options):
        if options.only and data not in options.only:
            continue
        for seed in range(2022, 2022 + options.seeds):
            if (data, options.name, seed) in there:
                continue
            lines = run(options.name, data, config, seed, options)
            with options.results.open("a") as file:
                file.write("".join(json.dumps(line) + "\n" for line in lines))
            done += lines
    print(table(done, options.base))


if __name__ == "__main__":
    main()
