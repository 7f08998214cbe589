"""Embeddings that start from vectors somebody else has made."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dagfm.config import Config
from dagfm.data.dataset import Prepared
from dagfm.data.pretrained import Vectors, content, read_vectors
from dagfm.encoding.rows import Float32, Int64
from dagfm.errors import InputError
from dagfm.nn.model import CTRModel
from dagfm.schema import FIRST, Field
from dagfm.schema import Pretrained as Source
from dagfm.training.axes import principal_axes

log = logging.getLogger(__name__)

_SAMPLE = 100_000
"""Vectors, evenly spaced, that principal components are found from."""
_FAR = 10.0
"""Frozen vectors this many times larger or smaller than a random start are worth a warning."""


@dataclass(frozen=True, eq=False)
class FieldVectors:
    """The vectors of one field, for the rows of the table whose ids have one."""

    name: str
    rows: Int64
    """(m,) of the embedding table."""
    values: Float32
    """(m, k), k at most the embedding's size."""
    trainable: bool
    content: str
    facts: Mapping[str, Any]
    """Of ids and vectors, how many have found each other."""


@dataclass(frozen=True, eq=False)
class PretrainedVectors:
    """The vectors of all fields that have some."""

    fields: tuple[FieldVectors, ...] = ()

    @classmethod
    def read(cls, config: Config, prepared: Prepared) -> PretrainedVectors:
        """Read what the configuration names; raises InputError naming field and file for what is wrong with it."""
        sources = [(field, field.pretrained) for field in config.fields if field.pretrained is not None]
        return cls(tuple(_of_field(field, source, config, prepared) for field, source in sources))

    @property
    def inputs(self) -> dict[str, dict[str, Any]]:
        """What training depends on, for a stage."""
        if not self.fields:
            return {}
        return {"pretrained": {one.name: {"content": one.content, "trainable": one.trainable} for one in self.fields}}

    @property
    def facts(self) -> dict[str, Mapping[str, Any]]:
        """What is told of each field."""
        return {one.name: one.facts for one in self.fields}

    def seen_in(self, table: Int64) -> PretrainedVectors:
        """The same vectors for the embedding table of some fields, whose rows are ``table`` of the whole one."""

        def moved(one: FieldVectors) -> FieldVectors | None:
            places = np.searchsorted(table, one.rows)
            # A field is there with all of its rows or with none.
            there = np.isin(one.rows, table).all()
            return replace(one, rows=places) if there else None

        return PretrainedVectors(tuple(found for found in map(moved, self.fields) if found is not None))

    @torch.no_grad()
    def start(self, model: CTRModel) -> None:
        """Put the vectors into a freshly drawn embedding, on the device where it is, and hold the frozen ones there.

        Vectors that train are brought, by one factor a field, to the size of the random numbers they replace: far
        larger or smaller starts cost AUC, and lengths and angles among them stay as they are. Frozen ones are taken as
        they are. Where they are shorter than the embedding, the other columns keep their random start, and train.
        """
        weight = model.embedding.weight
        for one in self.fields:
            rows = torch.from_numpy(one.rows).to(weight.device)
            values = torch.from_numpy(_narrowed(one.values, model.size)).to(weight.device)
            size = values.shape[1]
            factor = _size(weight[rows, :size]) / max(_size(values), 1e-30) if len(rows) else 1.0
            if one.trainable:
                values = values * factor
            elif not 1 / _FAR < factor < _FAR:
                log.warning(
                    "fields.%s.pretrained: the frozen vectors are %.3g times as large as others start; "
                    "bring them to a like size, or let them train", one.name, 1 / factor,
                )  # fmt: skip
            weight[rows, :size] = values
            if not one.trainable:
                model.embedding.hold(rows, values)


def _of_field(field: Field, source: Source, config: Config, prepared: Prepared) -> FieldVectors:
    encoder = prepared.encoder
    vocabulary = encoder.vocabularies[field.name]
    try:
        found = content(source)
        vectors = read_vectors(source)
    except InputError as error:
        raise InputError(f"fields.{field.name}.pretrained: {error}") from None
    start = int(encoder.spans.starts[encoder.schema.names.index(field.name)])
    ids = vocabulary.encode(vectors.ids)
    known = np.flatnonzero(ids >= FIRST)
    rows = start + ids[known].astype(np.int64)
    values = _fitted(vectors, known, config.embedding.size)
    tokens = len(vocabulary.tokens)
    counts = prepared.counts[start + FIRST : start + FIRST + tokens]
    facts = {
        "width": int(vectors.values.shape[1]),
        "trainable": source.trainable,
        "ids_with_vector": len(known),
        "ids_without_vector": tokens - len(known),
        "vectors_without_id": len(ids) - len(known),
        "occurrences_with_vector": float(prepared.counts[rows].sum() / max(counts.sum(), 1)),
    }
    return FieldVectors(field.name, rows, values, source.trainable, found, facts)


def _fitted(vectors: Vectors, chosen: NDArray[np.integer], size: int) -> Float32:
    """The chosen vectors with at most ``size`` numbers: of longer ones their coordinates along the principal components
    of all that are given."""
    if vectors.values.shape[1] <= size:
        return vectors.take(chosen)
    step = -(-len(vectors.values) // _SAMPLE)
    sample = vectors.values[::step].astype(np.float64)
    mean = sample.mean(axis=0)
    sample -= mean
    components = principal_axes(sample.T @ sample)[0][:, :size]
    fitted: Float32 = ((vectors.take(chosen) - mean) @ components).astype(np.float32)
    return fitted


def _narrowed(values: Float32, size: int) -> Float32:
    """Vectors (n, k) for a network whose own have ``size`` numbers: of longer ones their leading coordinates."""
    if values.shape[1] <= size:
        return values
    about = values.astype(np.float64) - values.mean(axis=0, dtype=np.float64)
    narrowed: Float32 = (about @ principal_axes(about.T @ about)[0][:, :size]).astype(np.float32)
    return narrowed


def _size(numbers: torch.Tensor) -> float:
    """Root mean square."""
    return float(numbers.double().square().mean().sqrt())


def told(vectors: PretrainedVectors) -> list[str]:
    """A line for each field, for who watches."""
    return [
        f"field '{one.name}': {one.facts['ids_with_vector']:,} ids start from pretrained vectors of "
        f"{one.facts['width']} numbers ({one.facts['occurrences_with_vector']:.1%} of the training rows' values), "
        f"{one.facts['ids_without_vector']:,} ids have none, {one.facts['vectors_without_id']:,} vectors have no id"
        for one in vectors.fields
    ]
