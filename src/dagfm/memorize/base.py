"""What is there without memory: the student's own network, asked about training rows that it has not seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dagfm.config import Config
from dagfm.config.networks import DAGFMConfig
from dagfm.encoding.rows import Int64
from dagfm.memorize.effects import Rows
from dagfm.training.phases import Fold, train_teacher
from dagfm.training.scoring import chunks_of, score_chunks, scores_of
from dagfm.training.workshop import Workshop

FOLDS = 2
_STEPS = 1000
"""Steps of each fold's training, about: a third of what a teacher has by default."""


def network_of(config: Config) -> DAGFMConfig:
    """The network of the first student, trained on clicks as the teacher that is a DAGFM is by default."""
    first = config.student[0]
    shape = {"type": first.type, "depth": first.depth, "connect": first.connect, "size": first.size}
    return DAGFMConfig(**shape, training={"dropout": 0.0})


def rows_without_memory(shop: Workshop, network: DAGFMConfig, chosen: Int64, directory: Path) -> Rows:
    """The ``chosen`` training rows (n,), all with a label, each with the logit of the network that was trained on the
    other fold; what is finished in ``directory`` is not trained again."""
    train = shop.prepared.train
    fold_of = np.arange(len(chosen)) % FOLDS
    np.random.default_rng(shop.seed_of("memorize/folds")).shuffle(fold_of)
    epochs = int(np.clip(round(_STEPS * shop.batch_size * FOLDS / max(len(chosen), 1)), 2, 20))
    settings = {**network.training, "epochs": epochs}
    logits = np.empty(len(chosen), np.float64)
    for fold in range(FOLDS):
        seen, asked = (np.flatnonzero(chosen_ones) for chosen_ones in (fold_of != fold, fold_of == fold))
        trained = train_teacher(
            shop,
            f"without memory, fold {fold + 1}",
            network.model_copy(update={"training": settings}),
            directory / f"fold-{fold + 1}",
            fold=Fold(fold + 1, FOLDS, chosen[seen]),
        )
        scores = scores_of(shop.trained(trained))
        logits[asked] = score_chunks(scores, chunks_of(train.rows, chosen[asked]), len(asked))
    weights = np.ones(len(chosen)) if train.weights is None else np.asarray(train.weights[chosen], np.float64)
    clicks = np.asarray(train.labels[chosen], np.float64)
    tokens = np.asfortranarray(train.rows.tokens[chosen])  # asked for by column
    return Rows(clicks, weights, logits, tokens, fold_of).calibrated()
