"""What all phases of one run and seed share, and what a finished phase hands on."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dagfm.config import Config
from dagfm.config.boosted import BoostedConfig
from dagfm.config.networks import NetworkConfig
from dagfm.config.phases import PhaseConfig
from dagfm.data.dataset import Prepared
from dagfm.data.hiding import Hiding
from dagfm.data.mapped import mapped
from dagfm.encoding.rows import Float32, Int64
from dagfm.encoding.selection import table_rows
from dagfm.nn.model import CTRModel
from dagfm.progress import Progress
from dagfm.training.checkpoint import read_tensors
from dagfm.training.loop import WEIGHTS
from dagfm.training.pretrained import PretrainedVectors
from dagfm.training.reuse import Reuse
from dagfm.training.sampling import Sampling
from dagfm.training.stage import Stage
from dagfm.training.view import View

Entry = dict[str, Any]
"""A model's line in results.json."""
JUDGED = ("valid", "test")
"""The parts that every finished model is measured on; its logits of their rows are kept."""


def logits_file(part: str) -> str:
    """The file of a finished phase with its model's logits of the valid or test rows."""
    return f"{part}-logits.npy"


def kept_logits(directory: Path, part: str) -> Float32 | None:
    """Logits (n,) of the valid or test rows by the model of a finished phase, memory-mapped; None where an older dagfm
    has not kept them."""
    path = directory / logits_file(part)
    return mapped(path) if path.exists() else None


DISTILLATION_EPOCHS, RANDOM_START = 12, 4
"""Passes over the training rows in which a student learns its teacher, and how many times as many one takes whose
embedding does not start from the teacher's."""
LARGE_TABLE = 50_000
"""From about so many embedding rows on, moving all of them takes longer than picking those of a batch."""


@dataclass(frozen=True)
class Workshop:
    """What all phases of one run and seed share."""

    config: Config
    prepared: Prepared
    seed: int
    device: torch.device
    progress: Progress
    pretrained: PretrainedVectors = field(default_factory=PretrainedVectors)
    reuse: Reuse = field(default_factory=Reuse)
    _views: dict[frozenset[str], View] = field(default_factory=dict)

    def view(self, network: NetworkConfig | BoostedConfig | None = None) -> View:
        """What a network sees of the rows; without one, what students and baselines see."""
        hidden = self.config.hidden_from(network)
        if hidden not in self._views:
            self._views[hidden] = View.of(self.prepared, hidden)
        return self._views[hidden]

    @cached_property
    def hiding(self) -> Hiding | None:
        """Which ids the training rows do not show."""
        return (
            Hiding.of(self.prepared.train, self.prepared.encoder) if self.config.training.unseen == "hidden" else None
        )

    def trained_counts(self, network: NetworkConfig) -> Int64:
        """(table rows,) how often training looks each row of a network's embedding up."""
        view = self.view(network)
        return view.counts if self.hiding is None else self.hiding.seen(view.counts, view.encoder)

    @property
    def sampling(self) -> Sampling:
        """Which non-clicks the rows hold."""
        return Sampling.of(self.config.data.negatives)

    @cached_property
    def prior(self) -> float:
        """Where every network's logits start: the logit of the training rows' (weighted) click rate.

        A model that starts at zero promises a click for every second row, and spends its first steps, which are the
        largest, on unlearning it. The reference starts at zero.
        """
        if self.config.training.initialisation == "reference":
            return 0.0
        rate = self.prepared.train.click_rate()
        rate = min(max(rate, 1e-6), 1 - 1e-6)
        return math.log(rate / (1 - rate))

    @property
    def batch_size(self) -> int:
        """The configured batch size, or the power of two nearest to a 150th of the training rows, 64 to 4096."""
        if self.config.training.batch_size != "auto":
            return self.config.training.batch_size
        return int(2 ** np.clip(np.round(np.log2(max(len(self.prepared.train), 1) / 150)), 6, 12))

    def settled(self, settings: PhaseConfig, network: NetworkConfig | None = None) -> PhaseConfig:
        """``settings`` with every ``auto`` replaced by its number; ``network`` is whose they are, if not a student's.

        Decay is a prior that the rows outvote. The best one fell from 1e-3 at 80,000 training rows
        (MovieLens 100k) to 3e-4 at 591,000 (MovieLens 1M). More rows need as many steps, not as many epochs: on two
        million simulated rows, 20 epochs of which the tenth was the best lost .0015 AUC to six with the learning rate
        at its end.
        """
        rows = len(self.prepared.train)
        steps = rows / self.batch_size
        view = self.view(network)
        lazily = view.layout.table_rows > LARGE_TABLE or settings.embedding_optimizer != "adam"
        auto = {
            "decay": 0.25 / math.sqrt(rows),
            "dropout": self._auto_dropout(view),
            "epochs": int(min(max(round(3200 / steps), 2), 20)),
            "evaluations_per_epoch": int(min(max(round(steps / 2000), 1), 5)),
            "updated_rows": "looked_up" if lazily else "all",
        }
        return settings.model_copy(update={key: auto[key] for key in auto if getattr(settings, key) == "auto"})

    @property
    def distillation(self) -> PhaseConfig:
        """The settings of distillation, every ``auto`` replaced by its number."""
        settings = self.config.training.distillation
        epochs = DISTILLATION_EPOCHS * (RANDOM_START if self.config.random_start else 1)
        own = {"epochs": epochs} if settings.epochs == "auto" else {}
        return self.settled(settings.model_copy(update=own))

    def _auto_dropout(self, view: View) -> float:
        """0.3 where 200 training cells share an embedding row, 0.1 less with every doubling, 0 to 0.5.

        What it prevents is that rows are fitted to the few cells they have. The best was 0.3 on MovieLens 100k (208
        cells a row), 0.2 on 1M (422), and none on a simulated log of 10,000 ids and two million rows (1,600), where
        0.16 cost .002 AUC.
        """
        cells = len(self.prepared.train) * len(view.schema) / view.layout.table_rows
        return min(max(0.3 - 0.1 * math.log2(max(cells, 1e-9) / 200), 0.0), 0.5)

    def seed_of(self, purpose: str) -> int:
        """A seed of its own for each purpose, so that adding a model changes no other."""
        return int.from_bytes(hashlib.sha256(f"{self.seed}/{purpose}".encode()).digest()[:6], "big")

    def model(self, network: NetworkConfig, purpose: str) -> CTRModel:
        """A freshly initialised model on the run's device."""
        view = self.view(network)
        # Networks also draw from torch's own generator when they are made; what the caller has seeded there stays.
        with torch.random.fork_rng(devices=[]):
            model = CTRModel(
                view.schema,
                view.layout,
                network,
                self.size_of(network),
                seed=self.seed_of(f"{purpose}/initialisation"),
                reference=self.config.training.initialisation == "reference",
            )
        model.network.raise_logits(self.prior)
        model = model.to(self.device)
        vectors = self.pretrained
        if view.selection is not None:
            vectors = vectors.seen_in(table_rows(self.prepared.encoder, view.encoder))
        vectors.start(model)
        return model

    def trained(self, trained: Trained) -> CTRModel:
        """The network of a finished phase, with its weights."""
        assert not isinstance(trained.network, BoostedConfig), "trees are no network"
        return self.restored(trained.network, trained.weights)

    def restored(self, network: NetworkConfig, weights: Path) -> CTRModel:
        """A network with the weights of a file."""
        model = self.model(network, "weights are loaded")
        model.load_state_dict(read_tensors(weights))
        return model

    def embeddings_of(self, teacher: Trained) -> list[tuple[Path, int, Int64 | None]]:
        """The files that hold an embedding a student can start from, how many numbers a field has there, and which of
        its rows are those of the student's table, None where it is all of them."""
        theirs, mine = self.view(teacher.network), self.view()
        rows = None if theirs is mine else table_rows(theirs.encoder, mine.encoder)
        if isinstance(teacher.network, BoostedConfig):
            return [(path, self.size_of(teacher.network.over), rows) for path in teacher.below]
        return [(teacher.weights, self.size_of(teacher.network), rows)]

    def size_of(self, network: NetworkConfig) -> int:
        """Numbers a field's vector has in the network's embedding (D)."""
        return self.config.size_of(network)

    def inputs(self, network: NetworkConfig, role: str, **more: Any) -> dict[str, Any]:
        """What every phase of a network depends on, and ``more``; ``role`` is what the network is called there."""
        own = more.pop("training", {})
        negatives = self.config.data.negatives
        view = self.view(network)
        return {
            **({} if view.selection is None else {"fields": view.schema.names}),
            # Other figures of the same rows. Only where it is set: what was made before the key existed stays.
            **({} if negatives is None else {"negatives": negatives.model_dump(exclude={"seed"})}),
            **self.pretrained.inputs,
            "made from": {"data": self.prepared.content, **more.pop("made_from", {})},
            "embedding": {"size": self.size_of(network)},
            role: network.definition,
            "training": {
                "seed": self.seed,
                "batch_size": self.batch_size,
                "initialisation": self.config.training.initialisation,
                **({} if self.config.unseen == "mean" else {"unseen": self.config.unseen}),
                **own,
            },
            **more,
        }


@dataclass(frozen=True)
class Trained:
    """A finished phase of one model."""

    directory: Path
    fingerprint: str
    network: NetworkConfig | BoostedConfig
    entry: Entry

    @property
    def seed(self) -> int:
        """Of its training."""
        return int(self.entry["seed"])

    @property
    def weights(self) -> Path:
        """The file of its weights."""
        return self.directory / WEIGHTS

    @property
    def below(self) -> list[Path]:
        """Of a boosted teacher, the weights of the networks that its trees stand on, a file a fold."""
        assert isinstance(self.network, BoostedConfig)
        return [self.directory / f"fold-{fold + 1}" / WEIGHTS for fold in range(self.network.folds)]

    @classmethod
    def standing(cls, directory: Path, network: NetworkConfig | BoostedConfig) -> Trained:
        """A finished phase as it stands, whatever it was made from; raises InputError when it is none or damaged."""
        stage, facts = Stage.standing(directory)
        return cls(directory, stage.fingerprint, network, facts["result"])

    @property
    def valid(self) -> dict[str, float]:
        """Validation figures."""
        figures: dict[str, float] = self.entry["metrics"]["valid"]
        return figures
