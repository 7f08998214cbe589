"""The boosted teacher: LightGBM over a network's out-of-fold logit, target statistics and the plain columns.

Stacked generalisation (Wolpert, 1992) with one model below: the training rows' logits come from networks that never saw
them, so that the trees learn how far a logit can be trusted and what the network has missed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dagfm.config.boosted import BoostedConfig
from dagfm.encoding.rows import Float32, Indices
from dagfm.errors import InputError
from dagfm.files import write_bytes
from dagfm.training.one_phase import measure
from dagfm.training.phases import Fold, fold_title, teacher_stage, train_teacher
from dagfm.training.scoring import chunks_of, score_chunks, scores_of, scoring_speed
from dagfm.training.stage import Stage
from dagfm.training.tallies import Tally, tallied_fields
from dagfm.training.trees import TALLIES, TREES, boosted_scores, columns_of, lightgbm, write_tallies
from dagfm.training.workshop import JUDGED, Entry, Trained, Workshop, logits_file

if TYPE_CHECKING:
    from lightgbm import Booster


def boosted_stages(shop: Workshop, config: BoostedConfig, directory: Path, replica: int = 1) -> list[Stage]:
    """The stage of the trees, and that of the network below for every fold."""
    over = config.below
    settings = shop.settled(over.settings(shop.config.training.teacher_training), over)
    below = shop.inputs(over, "over", replica=replica, training={"teacher_training": settings.model_dump()})
    return [
        Stage(directory, {**below, "teacher": config.definition}),
        *(
            teacher_stage(shop, over, directory / f"fold-{number}", None, replica, fold_title(number, config.folds))
            for number in range(1, config.folds + 1)
        ),
    ]


def train_boosted(shop: Workshop, name: str, config: BoostedConfig, directory: Path, replica: int = 1) -> Trained:
    """Phase 1 of a boosted teacher: the network below once a fold, each a stage of its own, then the trees.

    ``replica`` numbers members that are otherwise equal. All columns of the training rows are in memory, 4 bytes a
    cell. Raises DagfmError without LightGBM, InputError naming a field that cannot be tallied.
    """
    lightgbm()
    rows, over = len(shop.prepared.train), config.below
    if rows < config.folds:
        raise InputError(f"teacher: {config.folds} folds of {rows} training rows; ask for fewer 'folds'")
    tallied = tallied_fields(config.statistics, shop.view(config).encoder, rows)
    stage, *_ = boosted_stages(shop, config, directory, replica)
    facts = stage.open()
    if facts is not None:
        shop.progress.line(f"teacher_training of {name} (seed {shop.seed}) is done")
        return Trained(directory, stage.fingerprint, config, facts["result"])
    folds = _folds(shop, config.folds, replica)
    members = [
        train_teacher(
            shop,
            f"{name}/fold-{number}",
            over,
            directory / f"fold-{number}",
            replica=replica,
            fold=Fold(number, config.folds, np.flatnonzero(folds != number - 1)),
        )
        for number in range(1, config.folds + 1)
    ]
    shop.progress.start(f"trees of {name} (seed {shop.seed})", config.trees)
    started = time.perf_counter()
    logits = _out_of_fold(shop, members, folds)
    trees = _grow(shop, config, logits, folds, tallied, directory)
    seconds = time.perf_counter() - started
    shop.progress.finish()
    entry = _entry(shop, Trained(directory, stage.fingerprint, config, {}), name, members, trees, seconds)
    stage.finish([TREES, TALLIES, *map(logits_file, JUDGED)], {"result": entry})
    return Trained(directory, stage.fingerprint, config, entry)


def _folds(shop: Workshop, count: int, replica: int) -> Indices:
    """(n,) the fold of every training row, at random, of equal size up to a row."""
    folds = (np.arange(len(shop.prepared.train)) % count).astype(np.uint8)
    np.random.default_rng(shop.seed_of(f"teacher/{replica}/folds")).shuffle(folds)
    return folds


def _out_of_fold(shop: Workshop, members: list[Trained], folds: Indices) -> Float32:
    """(n,) the logit of every training row by the member that was not trained on it."""
    train = shop.prepared.train
    logits = np.empty(len(train), np.float32)
    for fold, member in enumerate(members):
        held = np.flatnonzero(folds == fold)
        scores = scores_of(shop.trained(member))
        logits[held] = score_chunks(scores, chunks_of(train.rows, held), len(held))
    return logits


def _grow(
    shop: Workshop,
    config: BoostedConfig,
    logits: Float32,
    folds: Indices,
    tallied: list[tuple[str, ...]],
    directory: Path,
) -> Booster:
    """Fit the trees to the training rows; write them, and the tallies that other rows will be looked up in."""
    train, package = shop.prepared.train, lightgbm()
    made = [Tally.of(fields, train, shop.prepared.encoder, folds, config.folds) for fields in tallied]
    parameters: dict[str, Any] = {
        # Rather than binary: aggregated rows are labelled with a click rate.
        "objective": "cross_entropy",
        "num_leaves": config.leaves,
        "learning_rate": config.learning_rate,
        "min_data_in_leaf": config.min_rows,
        "feature_fraction": config.columns,
        "seed": shop.seed_of("trees") % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": shop.config.training.threads,
        "verbosity": -1,
    }
    columns = columns_of(shop.view(config).pick(train.rows), logits, [values for _, values in made])
    data = package.Dataset(columns, np.asarray(train.labels), weight=train.weights, params=parameters)
    told = [lambda environment: shop.progress.advance(1)]
    trees: Booster = package.train(parameters, data, config.trees, callbacks=told)
    write_bytes(directory / TREES, trees.model_to_string().encode())
    write_tallies(directory / TALLIES, [tally for tally, _ in made])
    return trees


def _entry(
    shop: Workshop, trained: Trained, name: str, members: list[Trained], trees: Booster, seconds: float
) -> Entry:
    """The teacher's line of results; it costs what all its folds cost, and comparing is no multiply-add."""
    scores = boosted_scores(shop, trained)
    below = [member.entry for member in members]
    seconds += sum(entry["training_seconds"] for entry in below)
    rows = sum(entry["training_seconds"] * entry["training_rows_per_second"] for entry in below)
    leaves = sum(tree["num_leaves"] for tree in trees.dump_model()["tree_info"])
    reused = [entry["reused"] for entry in below if "reused" in entry]
    spared = sum(one["training_seconds"] for one in reused)
    return {
        "name": name,
        "role": "teacher",
        "network": "boosted",
        "phase": "teacher_training",
        "seed": shop.seed,
        # Of a tree, a threshold a split and a number a leaf.
        "parameters": sum(entry["parameters"] for entry in below) + 2 * leaves - trees.num_trees(),
        "multiply_adds": sum(entry["multiply_adds"] for entry in below),
        "scoring_rows_per_second": scoring_speed(scores, shop.prepared.test),
        "training_rows_per_second": rows / seconds,
        "training_seconds": seconds,
        **({"reused": {**reused[0], "training_seconds": spared}} if reused else {}),
        "metrics": {part: measure(shop, trained.directory, scores, part, None) for part in JUDGED},
    }
