"""Scales and bins from the training rows' numbers, the same however the rows are cut into chunks."""

from __future__ import annotations

from collections.abc import Iterator
from math import fsum

import numpy as np

from dagfm.data.array_files import ArrayFile
from dagfm.data.mapped import blocks, created, mapped
from dagfm.data.split import TRAIN
from dagfm.data.staging.chunks import Staged
from dagfm.encoding.bins import Bins
from dagfm.encoding.rows import Int64
from dagfm.encoding.scale import Scale
from dagfm.encoding.values import Float64
from dagfm.schema import FIRST, MISSING, QUANTILE_BINS, Field

_BLOCK = 1 << 16


def training_numbers(staged: Staged, field: Field) -> Float64:
    """(width, training rows) numbers of a field, in a file."""
    path = staged.folder / f"numbers-{staged.schema.names.index(field.name)}.npy"
    rows = staged.sizes["train"]
    taken = (staged.arrays(chunk).numbers(field.name)[staged.parts(chunk) == TRAIN] for chunk in staged.chunks)
    if field.width == 1:
        file = ArrayFile(path, np.float64, (rows,))
        for numbers in taken:
            file.append(numbers[:, 0])
        file.close(durable=False)
        return mapped(path, writable=True)[None]
    values = created(path, np.float64, (field.width, rows))
    done = 0
    for numbers in taken:
        values[:, done : done + len(numbers)] = numbers.T
        done += len(numbers)
    return values


def fit_numbers(values: Float64, field: Field) -> tuple[Scale | Bins, Int64]:
    """What a field of numbers learns from ``values`` (width, n), which may be put in order, and how often each of its
    rows occurs."""
    if field.encode == "quantile":
        (ordered,) = values
        ordered.sort()  # NaN last
        known = int(np.searchsorted(ordered, np.nan)) if len(ordered) else 0
        bins = Bins.fit(ordered[:known], field.bins or QUANTILE_BINS)
        counts = np.zeros(bins.rows, np.int64)
        for block in blocks(len(ordered)):
            counts += np.bincount(bins.encode(ordered[block]), minlength=bins.rows)
        return bins, counts
    counts = np.zeros(FIRST + field.width, np.int64)
    pairs = []
    for component, vector in enumerate(values):
        missing = sum(int(np.isnan(vector[block]).sum()) for block in blocks(len(vector)))
        counts[MISSING] += missing
        counts[FIRST + component] = len(vector) - missing
        pairs.append(mean_and_std(vector))
    return Scale(tuple(mean for mean, _ in pairs), tuple(std for _, std in pairs)), counts


def mean_and_std(values: Float64) -> tuple[float, float]:
    """Mean and standard deviation of what is no NaN; 1 where all are equal, or none is there.

    In blocks of a fixed size, on values divided by the largest, so that no sum overflows and equal values have
    exactly std 0.
    """
    largest, lowest, highest, count = 0.0, np.inf, -np.inf, 0
    for part in _known(values):
        lowest, highest = min(lowest, float(part.min())), max(highest, float(part.max()))
        largest, count = max(largest, abs(lowest), abs(highest)), count + len(part)
    if not largest or lowest == highest:
        return (lowest if count else 0.0), 1.0
    mean = fsum(float((part / largest).sum()) for part in _known(values)) / count
    square = fsum(float(((part / largest - mean) ** 2).sum()) for part in _known(values)) / count
    return mean * largest, float(np.sqrt(square)) * largest or 1.0


def _known(values: Float64) -> Iterator[Float64]:
    """The values that are no NaN, in blocks of as many cells as ever; blocks without any left out."""
    for block in blocks(len(values), _BLOCK):
        part = values[block]
        missing = np.isnan(part)
        known = part[~missing] if missing.any() else part
        if len(known):
            yield known
