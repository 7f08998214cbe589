"""Prepared rows on disk: how they are laid out, and opened as memory-mapped arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dagfm import metrics
from dagfm.data.held_out import HeldOut
from dagfm.data.mapped import blocks, mapped
from dagfm.data.split import PARTS
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.encoder_file import read_encoder
from dagfm.encoding.rows import Float32, Int64, Ragged, Rows
from dagfm.errors import InputError
from dagfm.files import fingerprint, open_sealed
from dagfm.schema import Schema

KIND = "prepared data"
FORMAT = 3
COUNTS = "counts.npy"
LARGE = 1 << 28
"""Arrays of more bytes are checked by size alone when prepared data is opened."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Encoded rows with their labels."""

    rows: Rows
    labels: Float32
    """(n,), 0 or 1; of aggregated rows the click rate; NaN of a row that has a score alone."""
    weights: Float32 | None = None
    """(n,), how much each row counts; None where all count alike."""
    scores: Float32 | None = None
    """(n,) logits of another model, where these are the teacher."""
    labelled: Int64 | None = None
    """The rows with a label, ascending; None where all have one."""
    held_out: HeldOut | None = None
    """Of training rows, what their folds hold of the crosses' statistics; None where there are no such."""

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def unlabelled(self) -> int:
        """How many rows have no label."""
        return 0 if self.labelled is None else len(self) - len(self.labelled)

    def click_rate(self) -> float:
        """The (weighted) share of clicks among the labelled rows."""
        if self.labelled is None:
            return metrics.mean(self.labels, self.weights)
        clicked = amount = 0.0
        for block in blocks(len(self.labelled)):
            rows = self.labelled[block]
            weights = np.ones(len(rows)) if self.weights is None else self.weights[rows].astype(np.float64)
            clicked, amount = clicked + float(weights @ self.labels[rows]), amount + float(weights.sum())
        return clicked / amount


def id_counts(rows: Rows, schema: Schema, name: str, size: int) -> Int64:
    """(size,) how often ``rows`` hold each row id of a field of ids or items."""
    if schema.named(name).form == "ids":
        ids = rows.tokens[:, schema.ids_column(name)]
    else:
        ids = rows.sequences[[field.name for field in schema.of_form("items")].index(name)].values
    counts = np.zeros(size, np.int64)
    for block in blocks(len(ids)):
        counts += np.bincount(ids[block], minlength=size)
    return counts


@dataclass(frozen=True, eq=False)
class Prepared:
    """A prepared directory: three memory-mapped parts and the encoder that made them."""

    directory: Path
    fingerprint: str
    """Of the input files' places, sizes and times: where to find this directory again."""
    content: str
    """Of what is in it: the same rows give the same, wherever their files lie and whenever they were touched."""
    encoder: Encoder
    train: Dataset
    valid: Dataset
    test: Dataset
    counts: Int64
    """Occurrences of every embedding row in the training rows, in the table's order."""
    facts: Mapping[str, Any]
    """What preparation has found out on its way: see ``prepare``."""

    @classmethod
    def open(cls, directory: Path) -> Prepared:
        """Open a complete directory; raises InputError naming the file that is missing, cut or altered."""
        try:
            manifest = open_sealed(directory, KIND, FORMAT, LARGE)
            encoder = read_encoder(directory)
            sequences = len(encoder.schema.of_form("items"))
            train, valid, test = (_read(directory / part, sequences) for part in PARTS)
            train = replace(train, held_out=HeldOut.open(directory, encoder.schema.names))
            counts = mapped(directory / COUNTS)
        except InputError as error:
            raise InputError(f"{error}; delete the folder {directory} and run again") from None
        content = fingerprint(manifest["files"])
        return cls(directory, manifest["fingerprint"], content, encoder, train, valid, test, counts, manifest["facts"])

    def click_rates(self) -> dict[str, float]:
        """The (weighted) share of clicks in each part."""
        parts: dict[str, Dataset] = {name: getattr(self, name) for name in PARTS}
        return {name: part.click_rate() for name, part in parts.items()}


def _read(part: Path, sequences: int) -> Dataset:
    ragged = [
        Ragged(mapped(part / f"seq{index}-offsets.npy"), mapped(part / f"seq{index}-values.npy"))
        for index in range(sequences)
    ]
    rows = Rows(mapped(part / "tokens.npy"), mapped(part / "floats.npy"), tuple(ragged))
    weights, scores, labelled = (
        mapped(part / f"{name}.npy") if (part / f"{name}.npy").exists() else None
        for name in ("weights", "scores", "labelled")
    )
    return Dataset(rows, mapped(part / "labels.npy"), weights, scores, labelled)
