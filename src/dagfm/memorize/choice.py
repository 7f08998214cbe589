"""``memorize: auto``: search, prepare what was found, prove it, and keep what is proved."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dagfm.config import Config
from dagfm.config.memorize import Key, can_stand_alone, candidates
from dagfm.config.networks import DAGFMConfig
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import STORE
from dagfm.files import fingerprint, read_json, write_json
from dagfm.memorize.base import network_of, rows_without_memory
from dagfm.memorize.effects import sample
from dagfm.memorize.screen import Found, Search
from dagfm.memorize.trial import Trial, best_of, row_losses
from dagfm.progress import Progress
from dagfm.training.phases import train_teacher
from dagfm.training.workshop import Workshop, kept_logits

FILE = "memorize.json"
_VERSION = 3
"""Of the search: another one finds other keys."""
_TOLD = 20
"""Refused keys that are kept in the file, the best first."""

Prepare = Callable[[Config], Prepared]


@dataclass(frozen=True)
class Memory:
    """What is memorised, and why."""

    keys: tuple[Key, ...]
    facts: dict[str, Any]
    """``keys``: every key with its gain, values, megabytes and what was decided; ``trials``: how many of the found
    fields lead to which validation logloss; ``seconds``."""
    directory: Path
    """Where the networks of the trials lie: a run may take them over."""


def find_memory(
    config: Config, prepared: Prepared, prepare: Prepare, home: Path, device: torch.device, progress: Progress
) -> Memory:
    """The keys that ``memorize: auto`` takes for ``config``, whose rows without memory are ``prepared``.

    ``prepare`` gives the rows of a configuration; ``home`` is the folder whose ``.dagfm`` keeps what is found, so that
    it is not searched again, and an interrupted search goes on at the network it was at. Reads no test row.
    """
    told_by = {
        "version": _VERSION,
        "data": prepared.content,
        "memorize": config.memorize.model_dump(mode="json"),
        "hidden": sorted(config.extra_fields),
        "network": network_of(config).model_dump(mode="json"),
        "embedding": config.embedding.model_dump(),
        "training": config.training.model_dump(mode="json", include={"seed", "batch_size", "initialisation", "unseen"}),
        "teacher_training": config.training.teacher_training.model_dump(),
    }
    directory = home / STORE / "memorize" / fingerprint(told_by)
    done = directory / FILE
    if not done.exists():
        started = time.perf_counter()
        found = searched(config, prepared, directory, device, progress)
        chosen = [one for one in found if one.refused is None]
        kept, trials = proved(config, prepared, prepare, [one.key for one in chosen], directory, device, progress)
        for one in chosen[kept.fields :]:
            one.refused = "not better on validation rows"
        facts = {
            "keys": [{**asdict(one), "megabytes": one.megabytes} for one in found[: len(chosen) + _TOLD]],
            "looked_at": len(found),
            "trials": [{"fields": one.fields, "logloss": one.logloss, "seconds": one.seconds} for one in trials],
            "seconds": time.perf_counter() - started,
        }
        write_json(done, facts)
    facts = read_json(done)
    keys = tuple(tuple(one["key"]) for one in facts["keys"] if one["refused"] is None)
    return Memory(keys, facts, directory)


def searched(
    config: Config, prepared: Prepared, directory: Path, device: torch.device, progress: Progress
) -> list[Found]:
    """All keys that were looked at; those that were found come first, in their order, and are not refused."""
    network = network_of(config)
    shop = _shop(config, prepared, device, progress, network)
    schema, encoder, train = prepared.encoder.schema, prepared.encoder, prepared.train
    labelled = np.arange(len(train)) if train.labelled is None else np.asarray(train.labelled)
    chosen = labelled[sample(len(labelled), config.memorize.rows, shop.seed_of("memorize/rows"))]
    names = candidates(schema, config.extra_fields)
    search = Search(
        rows_without_memory(shop, network, chosen, directory),
        {name: schema.ids_column(name) for name in names},
        {name: encoder.source_rows(schema.named(name)) for name in names},
        frozenset(name for name in names if can_stand_alone(schema.named(name))),
        config.memorize,
        len(labelled) / max(len(chosen), 1),
        progress,
    )
    return search.run()


def proved(
    config: Config,
    prepared: Prepared,
    prepare: Prepare,
    keys: list[Key],
    directory: Path,
    device: torch.device,
    progress: Progress,
) -> tuple[Trial, list[Trial]]:
    """The trial with as many of the ``keys``, from the first on, as pay on validation rows, and all trials."""
    network = network_of(config)
    larger = config.memorizing(keys)
    fields = [field.name for field in larger.fields[len(config.fields) :]]
    whole = prepare(larger) if keys else prepared

    def seeing(count: int) -> DAGFMConfig:
        """The network with the first fields as its own: of these, it does not see what another one lists and it does
        not."""
        return network.model_copy(update={"extra_fields": tuple(fields[:count])})

    def tried(count: int) -> Trial:
        place, alone = directory / f"with-{count}", seeing(count)
        if count == 0:  # as a run without memory has it
            shop = _shop(config, prepared, device, progress, alone)
        else:
            shop = _shop(larger, whole, device, progress, alone, seeing(len(fields)))
        # As a teacher of its kind is trained: a run that has such a teacher takes this one over.
        trained = train_teacher(shop, f"{count} memorised fields", alone, place)
        logits = kept_logits(place, "valid")
        assert logits is not None, "every finished phase keeps them"
        losses = row_losses(shop.prepared.valid, logits, shop.sampling)
        return Trial(count, float(losses.mean()), trained.entry["training_seconds"], losses)

    return best_of(tried, len(keys), config.memorize.gain)


def _shop(
    config: Config, prepared: Prepared, device: torch.device, progress: Progress, *networks: DAGFMConfig
) -> Workshop:
    """What training ``networks`` takes; fields that only teachers see stay hidden from them."""
    others = [one for one in config.teacher if getattr(one, "extra_fields", ())]
    alone = config.model_copy(update={"teacher": (*networks, *others)})
    return Workshop(alone, prepared, config.training.seed, device, progress)
