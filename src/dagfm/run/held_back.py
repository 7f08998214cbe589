"""The labelled rows that a run has held back, as its bundles read them; without torch."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from dagfm.config import load_config
from dagfm.data.dataset import Dataset, Prepared
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Indices
from dagfm.encoding.selection import Selection, encoder_without
from dagfm.files import MANIFEST, read_json
from dagfm.serving.comparison import Sample
from dagfm.training.sampling import Sampling

log = logging.getLogger(__name__)

_PREPARED, _CONFIG = "prepared.json", "config.yaml"
_ROWS = 1 << 20
"""At most so many are taken, evenly spaced."""


def held_back(bundle: Path, encoder: Encoder) -> Sample | None:
    """The test rows, else the validation rows, of the run in which ``bundle`` lies; ``encoder`` is the bundle's own.

    None, and the reason in the log, where it lies in no run, the run's prepared rows are gone or are of another fit, or
    neither part holds both clicks and non-clicks.
    """
    place = bundle.resolve()
    run = place.parent if place.name == "bundle" else place.parent.parent
    if not (run / _PREPARED).is_file() or (place.name != "bundle" and place.parent.name != "bundles"):
        log.info("%s: lies in no run, so that no held-back rows are at hand", bundle)
        return None
    made_from = read_json(run / _PREPARED)
    directory = Path(made_from["directory"])
    if not (directory / MANIFEST).is_file():
        log.info("%s: the prepared rows of the run are gone (%s)", bundle, directory)
        return None
    prepared = Prepared.open(directory)
    whole = prepared.encoder
    hidden = set(whole.schema.names) - set(encoder.schema.names)
    part = encoder_without(whole, hidden) if hidden else whole
    if (
        prepared.content != made_from["content"]
        or part.schema != encoder.schema
        or not np.array_equal(part.spans.sizes, encoder.spans.sizes)
    ):
        log.info("%s: the prepared rows of the run are of another fit", bundle)
        return None
    sampling = Sampling.of(load_config(run / _CONFIG).data.negatives)
    for name, dataset in (("test", prepared.test), ("validation", prepared.valid)):
        found = _sample(f"{name} rows of the run", dataset, sampling)
        amounts = np.ones(len(found.labels)) if found.weights is None else found.weights
        if amounts @ found.labels > 0 and amounts @ (1 - found.labels) > 0:
            rows = Selection.between(whole.schema, part.schema).of(found.rows) if hidden else found.rows
            return Sample(found.what, rows, found.labels, found.weights)
    log.info("%s: the run holds back no rows of both classes", bundle)
    return None


def _sample(what: str, dataset: Dataset, sampling: Sampling) -> Sample:
    labels, weights = sampling.judged(dataset)
    chosen = evenly(len(labels), _ROWS)
    return Sample(what, dataset.rows.take(chosen), labels[chosen], None if weights is None else weights[chosen])


def evenly(count: int, most: int) -> Indices:
    """At most so many of ``count`` rows, at even distances from the first one on."""
    return np.arange(0, count, max(1, -(-count // most)))
