"""Judging the models of a run against each other, on the same validation and test rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Float32
from dagfm.metrics import Difference, Standing, auc_difference, logloss_difference
from dagfm.training.sampling import Sampling
from dagfm.training.stage import Stage
from dagfm.training.teacher_logits import TeacherLogits
from dagfm.training.workshop import Entry, Trained, kept_logits

ROWS = 1 << 20
"""Standard errors come from at most this many rows, evenly spaced, and are scaled to all: of a million rows they are
known to a part in a thousand, and more of them would have to fit into memory."""


@dataclass(frozen=True)
class Model:
    """A model of a run: its line of results, and where its logits of validation and test rows are."""

    entry: Entry
    logits: Callable[[str], Float32 | None]
    """Of the valid or test rows (n,), memory-mapped; None where nobody has kept them."""

    @classmethod
    def of(cls, trained: Trained) -> Model:
        """A finished phase."""
        return cls(trained.entry, partial(kept_logits, trained.directory))

    @classmethod
    def standing(cls, directory: Path) -> Model:
        """The finished phase in ``directory``, as it stands; raises InputError when there is none or it is damaged."""
        _, facts = Stage.standing(directory)
        return cls(facts["result"], partial(kept_logits, directory))

    @classmethod
    def cached(cls, entry: Entry, logits: TeacherLogits) -> Model:
        """A teacher of which the cache holds the logits."""
        return cls(entry, logits.read)

    @property
    def name(self) -> str:
        """What tables call it."""
        return str(self.entry["name"])

    @property
    def key(self) -> tuple[str, str, int]:
        """What is its alone in a run."""
        return self.name, str(self.entry["phase"]), self.seed

    @property
    def seed(self) -> int:
        """Of its training."""
        return int(self.entry["seed"])


def standing(model: Model, part: str, dataset: Dataset, sampling: Sampling) -> Standing | None:
    """Where a model stands on the rows of ``part``, at most ``ROWS`` of them; None where that cannot be said.

    That is where its logits were not kept or are not finite, or where the sample holds one class.
    """
    logits = model.logits(part)
    if logits is None:
        return None
    weights = None if dataset.weights is None else sample(dataset.weights)
    labels, weights = sampling.judged(Dataset(dataset.rows, sample(dataset.labels), weights))
    corrected = sample(logits) + np.float32(sampling.shift)
    if not np.isfinite(corrected).all():
        return None
    try:
        return Standing.of(labels, corrected, weights)
    except ValueError:
        return None


def standard_errors(
    models: Sequence[Model], served: Sequence[Model], test: Dataset, sampling: Sampling
) -> dict[tuple[str, str, int], dict[str, float | None]]:
    """Of every served student beside every teacher and baseline of its seed, how far test rows can tell them apart.

    ``served``: of each student and seed, the model that may be served.
    """
    found: dict[tuple[str, str, int], dict[str, float | None]] = {}
    for seed in dict.fromkeys(model.seed for model in served):
        students = [(one.name, standing(one, "test", test, sampling)) for one in served if one.seed == seed]
        for other in models:
            if other.seed != seed or other.entry["role"] == "student":
                continue
            theirs = standing(other, "test", test, sampling)
            for name, mine in students:
                if mine is not None and theirs is not None:
                    found[(name, other.name, seed)] = {
                        "auc": scaled_error(auc_difference(mine, theirs), len(test)),
                        "logloss": scaled_error(logloss_difference(mine, theirs), len(test)),
                    }
    return found


def sample(column: Float32) -> Float32:
    """Of a number a row (n,) at most ``ROWS``, evenly spaced; always of the same rows."""
    return column[:: _step(len(column))]


def scaled_error(difference: Difference, rows: int) -> float | None:
    """The standard error for all ``rows``, from the sample of them; None where it is unknown."""
    if math.isnan(difference.standard_error):
        return None
    return difference.standard_error / math.sqrt(_step(rows))


def _step(rows: int) -> int:
    return max(1, -(-rows // ROWS))
