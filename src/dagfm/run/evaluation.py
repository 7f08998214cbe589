"""Figures that a configuration asks for beside the usual ones: within groups, and by the values of fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm import metrics
from dagfm.config.evaluation import EvaluationConfig
from dagfm.data.dataset import Dataset, Prepared
from dagfm.encoding.readable import value_of
from dagfm.encoding.rows import Float32, Indices
from dagfm.metrics import figures_within, ndcg_key
from dagfm.run.judging import Model
from dagfm.schema import FIRST
from dagfm.training.sampling import Sampling
from dagfm.training.workshop import JUDGED, Entry

VALUES = 20
"""Values of a field that are told of, those of most rows."""


@dataclass
class Evaluation:
    """The rows of one run, in groups and by values; ``told`` is what results say of it all."""

    config: EvaluationConfig
    prepared: Prepared
    sampling: Sampling
    _groups: dict[str, Any] = field(default_factory=dict)

    def entry(self, model: Model) -> Entry:
        """A model's line of results, with its figures within groups where they are asked for."""
        if self.config.group is None:
            return model.entry
        measured = model.entry["metrics"]
        return {**model.entry, "metrics": {part: {**measured[part], **self._within(model, part)} for part in JUDGED}}

    def told(self, student: Model | None, teacher: Model | None) -> dict[str, Any] | None:
        """Which groups counted, and test figures of ``student`` and ``teacher`` by values; None if nothing is asked.

        After the last ``entry``.
        """
        if self.config.group is None and not self.config.by:
            return None
        group = None if self.config.group is None else {"field": self.config.group, **self._groups}
        models = {"student": student, "teacher": teacher}
        logits = {name: model.logits("test") for name, model in models.items() if model is not None}
        known = {name: found for name, found in logits.items() if found is not None}
        return {"group": group, "by": {name: self._by(name, known) for name in self.config.by} if known else {}}

    def _within(self, model: Model, part: str) -> dict[str, float | None]:
        assert self.config.group is not None
        keys = ["gauc", *map(ndcg_key, self.config.ndcg)]
        logits = model.logits(part)
        if logits is None:
            return dict.fromkeys(keys)
        dataset: Dataset = getattr(self.prepared, part)
        ids = dataset.rows.tokens[:, self.prepared.encoder.schema.ids_column(self.config.group)]
        labels, weights = self.sampling.judged(dataset)
        rows = np.flatnonzero(ids >= FIRST)  # unseen and missing values are many, not one
        found = figures_within(
            ids[rows], labels[rows], logits[rows], self.config.ndcg, None if weights is None else weights[rows]
        )
        self._groups[part] = {
            "groups": found.groups,
            "one_class": found.one_class,
            "rows_left_out": len(ids) - len(rows),
        }
        return {"gauc": found.gauc, **{ndcg_key(k): value for k, value in found.ndcg.items()}}

    def _by(self, name: str, logits: Mapping[str, Float32]) -> list[dict[str, Any]]:
        """Of the values that most test rows hold, the figures of each model."""
        rows, ids = self._values(name)
        counts = np.bincount(ids)
        labels, weights = self.sampling.judged(self.prepared.test)
        found = []
        for value in np.argsort(-counts, kind="stable")[:VALUES]:
            if not counts[value]:
                break
            chosen = rows[ids == value]
            y, w = labels[chosen], None if weights is None else weights[chosen]
            found.append(
                {
                    "value": value_of(self.prepared.encoder, name, int(value)),
                    "rows": int(counts[value]),
                    "click_rate": metrics.mean(y, w),
                    **{model: self._figures(y, z[chosen], w) for model, z in logits.items()},
                }
            )
        return found

    def _values(self, name: str) -> tuple[Indices, NDArray[np.int64]]:
        """(m,) test rows and (m,) ids that they hold; a row of a sequence once for each of its different items."""
        schema, test = self.prepared.encoder.schema, self.prepared.test.rows
        if schema.named(name).form == "ids":
            return np.arange(len(test)), test.tokens[:, schema.ids_column(name)].astype(np.int64)
        index = [field.name for field in schema.of_form("items")].index(name)
        sequence = test.sequences[index]
        rows = np.repeat(np.arange(len(test)), np.diff(sequence.offsets))
        size = int(sequence.values.max()) + 1
        pairs = np.unique(rows * size + sequence.values)
        return pairs // size, pairs % size

    def _figures(self, labels: Float32, logits: Float32, weights: Float32 | None) -> dict[str, float | None]:
        corrected = logits + np.float32(self.sampling.shift)
        amounts = np.ones(len(labels)) if weights is None else weights.astype(np.float64)
        clicks = float(amounts @ labels)
        both = clicks > 0 and float(amounts.sum()) - clicks > 0
        return {
            "auc": metrics.auc(labels, logits, weights) if both else None,
            "logloss": metrics.logloss(labels, corrected, weights),
            "calibration": metrics.calibration(labels, metrics.sigmoid(corrected), weights) if clicks > 0 else None,
        }
