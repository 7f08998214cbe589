"""What boosted trees see of encoded rows, and the logits of a finished boosted teacher."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from dagfm.config.boosted import BoostedConfig
from dagfm.encoding.rows import Float32, Rows
from dagfm.errors import DagfmError
from dagfm.training.checkpoint import read_tensors, write_tensors
from dagfm.training.scoring import Scores, mean_of, scores_of
from dagfm.training.tallies import Tally, source_sizes, tallied_fields
from dagfm.training.workshop import Trained, Workshop

if TYPE_CHECKING:
    from lightgbm import Booster

TREES, TALLIES = "trees.txt", "tallies.safetensors"
"""LightGBM's own text format; what the training rows say of ids."""


def lightgbm() -> ModuleType:
    """The package that grows the trees, which is an extra; raises DagfmError where it is not installed."""
    try:
        import lightgbm as package  # noqa: PLC0415
    except ImportError:
        raise DagfmError("a boosted teacher needs LightGBM: pip install 'dagfm[boosted]'") from None
    return package


def boosted_scores(shop: Workshop, trained: Trained) -> Scores:
    """A finished boosted teacher, for rows that are in no fold: the network's logit is the mean of the folds'."""
    config, schema, threads = trained.network, shop.prepared.encoder.schema, shop.config.training.threads
    assert isinstance(config, BoostedConfig)
    trees: Booster = lightgbm().Booster(model_file=trained.directory / TREES)
    tallies, view = _read_tallies(trained.directory / TALLIES, shop, config), shop.view(config)
    below = mean_of([scores_of(shop.restored(config.below, weights)) for weights in trained.below])

    def scores(rows: Rows) -> Float32:
        values = [tally.values(rows, schema) for tally in tallies]
        found = trees.predict(columns_of(view.pick(rows), below(rows), values), raw_score=True, num_threads=threads)
        return np.asarray(found, np.float32)

    return scores


def columns_of(rows: Rows, logits: Float32, tallies: list[Float32]) -> Float32:
    """What the trees see of B rows, (B, columns): the network's logit (B,), tallied values (B, 2) each, ids, numbers,
    and of each sequence its first item and its length.

    Ids count from the most frequent on, so ranges of them mean something.
    """
    items = [
        np.stack([sequence.values[sequence.offsets[:-1]], np.diff(sequence.offsets)], axis=1)
        for sequence in rows.sequences
    ]
    parts = [logits[:, None], *tallies, rows.tokens, rows.floats, *items]
    return np.concatenate(parts, axis=1, dtype=np.float32, casting="unsafe")


def write_tallies(path: Path, tallies: list[Tally]) -> None:
    """Write tallies as safetensors, in their order."""
    tensors: dict[str, Tensor] = {}
    for number, tally in enumerate(tallies):
        arrays = {"keys": tally.keys, "clicks": tally.clicks, "rows": tally.rows, "prior": np.array([tally.prior])}
        tensors |= {f"{number}.{name}": torch.from_numpy(array) for name, array in arrays.items()}
    write_tensors(path, tensors)


def _read_tallies(path: Path, shop: Workshop, config: BoostedConfig) -> list[Tally]:
    encoder = shop.view(config).encoder
    held = {name: tensor.numpy() for name, tensor in read_tensors(path).items()}
    return [
        Tally(
            fields,
            source_sizes(fields, encoder),
            held[f"{number}.keys"],
            held[f"{number}.clicks"],
            held[f"{number}.rows"],
            float(held[f"{number}.prior"][0]),
        )
        for number, fields in enumerate(tallied_fields(config.statistics, encoder, len(shop.prepared.train)))
    ]
