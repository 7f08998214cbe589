"""How far do students, tiny MLPs of equal cost and factorization machines stay from one teacher's function?

python experiments/fidelity/study.py CONFIG RUN [--seeds 3] [--set KEY=VALUE ...]

Trains the first teacher of CONFIG in RUN and distils every contender from its logits, twice: by the default recipe, and
with the teacher's embedding frozen and no recombined rows, as the paper does. Prints, for each, the mean squared
distance of logits on held-out test rows over the variance of the teacher's, and how many times the inner DAGFM's it is:
means over seeds, each with a teacher of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter

from dagfm.config import Config, load_config
from dagfm.config.networks import NetworkConfig
from dagfm.data.prepare import STORE, prepare
from dagfm.nn.registry import BUILDERS, build
from dagfm.progress import LoggedProgress
from dagfm.training.phases import distil, train_teacher
from dagfm.training.teacher_logits import write_teacher_logits
from dagfm.training.workshop import Workshop

SETTINGS = {
    "default": [],
    "frozen": ["distillation.embedding=teacher_frozen", "distillation.recombined=0"],
}
INNER = "dagfm, inner"
CLAIMS = {
    INNER: "1e-3",
    "dagfm, outer": "1e-3",
    "mlp, one layer": "1000 times",
    "mlp, two layers": "1000 times",
    "fwfm": "300 times",
    "fmfm": "30 times",
}
"""What the paper says of DAGFM's distance, and of the others' as multiples of it."""


def contenders(config: Config) -> dict[str, NetworkConfig]:
    """Every network that is asked, the MLPs with as many multiply-adds as the inner DAGFM has at most."""
    adapter: TypeAdapter[NetworkConfig] = TypeAdapter(NetworkConfig)
    schema, size = config.schema_, config.embedding.size
    found = {
        f"dagfm, {kind}": adapter.validate_python({"network": "dagfm", "type": kind}) for kind in ("inner", "outer")
    }
    budget = build(found[INNER], schema, size).multiply_adds
    wide = len(schema) * size
    one = budget // wide
    two = int((np.sqrt(wide**2 + 4 * budget) - wide) / 2)  # wide * h + h * h
    for name, hidden in (("mlp, one layer", [one]), ("mlp, two layers", [two, two])):
        found[name] = adapter.validate_python({"network": "mlp", "hidden": hidden, "dropout": 0.0, "batch_norm": False})
    return found | {name: adapter.validate_python({"network": name}) for name in ("fm", "fwfm", "fmfm")}


def means(source: Path, run: Path, seeds: int, overrides: list[str], how: str) -> dict[str, list[float]]:
    """Those of ``distances``, over seeds."""
    first = load_config(source, overrides).training.seed
    found = [distances(source, run, seed, overrides, how) for seed in range(first, first + seeds)]
    return {name: np.mean([one[name] for one in found], axis=0).tolist() for name in found[0]}


def distances(source: Path, run: Path, seed: int, overrides: list[str], how: str) -> dict[str, list[float]]:
    """Relative distance, multiply-adds and parameters of every contender, in one of the ``SETTINGS``."""
    config = load_config(source, [*overrides, *SETTINGS[how]])
    torch.set_num_threads(config.training.threads)
    watch = LoggedProgress()
    shop = Workshop(config, prepare(config, run / STORE, watch), seed, torch.device("cpu"), watch)
    name, network = config.named("teacher")[0]
    run = run / f"seed-{seed}"
    teacher = train_teacher(shop, name, network, run / "teacher")
    logits = write_teacher_logits(shop, [teacher], run / how / "teacher_logits")
    spread = float(logits.read("test").astype(np.float64).var())
    found = {}
    for called, contender in contenders(config).items():
        place = run / how / called.replace(", ", "-").replace(" ", "-")
        entry = distil(shop, place.name, contender, logits, [teacher], place).entry
        found[called] = [entry["metrics"]["test"]["logit_mse"] / spread, entry["multiply_adds"], entry["parameters"]]
    return found


def table(by_setting: dict[str, dict[str, list[float]]]) -> Iterable[str]:
    """What was found, in Markdown."""
    default, frozen = by_setting["default"], by_setting["frozen"]
    yield "| distilled | multiply-adds | parameters | distance | times inner | frozen: distance | times inner | paper |"
    yield "|---|---:|---:|---:|---:|---:|---:|---|"
    for name, (distance, multiply_adds, parameters) in default.items():
        cells: list[Any] = [name, f"{multiply_adds:,.0f}", f"{parameters:,.0f}"]
        for settings, here in ((default, distance), (frozen, frozen[name][0])):
            cells += [f"{here:.2e}", f"{here / settings[INNER][0]:,.1f}"]
        yield "| " + " | ".join([*cells, CLAIMS.get(name, "-")]) + " |"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    given = parser.parse_args()
    missing = {"mlp", "fwfm", "fmfm"} - BUILDERS.keys()
    if missing:
        parser.error(f"this dagfm has no {', '.join(sorted(missing))}")
    asked = (given.config, given.run, given.seeds, given.overrides)
    print("\n".join(table({how: means(*asked, how) for how in SETTINGS})))
