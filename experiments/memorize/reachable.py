"""What of a simulated pair's effect can be learned from the training rows, by whoever knows all the rest of the truth?

    dagfm data simulate --rows 2_000_000 --pair-effect 1 -o planted
    python experiments/memorize/reachable.py planted

The best reachable score knows every pair's effect, also that of pairs with a handful of rows, or none. This is the AUC
on the test rows of the default split with, in its place, the likeliest effect given the pair's training rows and the
distribution that effects were drawn from.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from dagfm.data.simulate.blocks import Source
from dagfm.data.simulate.columns import columns
from dagfm.data.simulate.options import Options
from dagfm.data.split import TEST, TRAIN, random_parts
from dagfm.metrics import auc

NEWTON_STEPS = 12


def main(directory: Path) -> None:
    """Print the AUC of the truth, of the truth without pairs, and of the truth with what can be learned of them."""
    options = Options(**json.loads((directory / "simulation.json").read_text())["options"])
    fields = columns(options)
    source = Source(options, fields)
    if source.truth.pair is None:
        sys.exit(f"{directory}: no pair has an effect there; simulate with --pair-effect")
    one, two = source.truth.pair
    keys, clicks, logits, effects = [], [], [], []
    for block in source.rows(0, options.rows):
        key = source.truth.pair_keys(block.values)
        best = block.best.astype(np.float64)
        keys.append(key)
        clicks.append(block.click.astype(np.float64))
        logits.append(np.log(best / (1.0 - best)))
        effects.append(source.truth.pair_effects(key))
    click, logit = np.concatenate(clicks), np.concatenate(logits)
    _, pair = np.unique(np.concatenate(keys), return_inverse=True)
    parts = np.empty(options.rows, np.uint8)
    random_parts(parts, np.empty(options.rows, np.int32), (0.8, 0.1, 0.1), 2022)
    train, test = parts == TRAIN, parts == TEST
    base = logit - np.concatenate(effects)
    learned = np.zeros(pair.max() + 1)
    for _ in range(NEWTON_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(base[train] + learned[pair[train]], -40.0, 40.0)))
        slope = np.bincount(pair[train], click[train] - chance, len(learned)) - learned / options.pair_effect**2
        learned += slope / (
            np.bincount(pair[train], chance * (1.0 - chance), len(learned)) + 1.0 / options.pair_effect**2
        )
    rows = np.bincount(pair[train], minlength=len(learned))[pair[test]]
    print(f"pair: {fields[one].name} x {fields[two].name}, {len(learned):,} of them in the log")
    print(f"training rows of a test row's pair, median: {np.median(rows):,.0f}; unseen: {np.mean(rows == 0):.1%}")
    for what, score in (
        ("the truth", logit),
        ("the truth without pairs", base),
        ("with what can be learned of them", base + learned[pair]),
    ):
        print(f"test AUC of {what}: {auc(click[test], score[test]):.4f}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("give the folder of a simulation")
    main(Path(sys.argv[1]))
