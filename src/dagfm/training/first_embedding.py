"""Where a student's embedding starts: from a teacher's table, in its principal axes where the widths differ."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dagfm.encoding.rows import Int64
from dagfm.metrics import Float64
from dagfm.nn.batch import Layout
from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.axes import principal_axes
from dagfm.training.checkpoint import read_tensors

log = logging.getLogger(__name__)

TINY = 0.05
"""A teacher's embedding whose numbers are typically smaller than this is rescaled before a student starts from it."""
UNIT = 0.25
"""What it is rescaled to: 16 such numbers make a vector of length one."""
FAINT = 0.1
"""What the random columns of a student that is wider than its teacher are multiplied by: at their full size they are
noise to what the others say already (experiments/students)."""


def start_embedding(
    model: CTRModel, teachers: list[tuple[Path, int, Int64 | None]], counts: Int64, *, frozen: bool
) -> None:
    """Start a student's embedding from the first teacher's of the same size, enlarged if it is tiny and will train.

    ``teachers`` are weights files, each with the numbers of a field's vector: what a table holds beyond them, such as
    first-order weights, is the teacher's own, and what the student's holds starts at zero; and with the rows of its
    table that are the student's, None where it is all of them. A heavily decayed table leaves products of several
    embeddings next to nothing, and with them their gradients.

    Where none has the size, a narrower student starts from the leading principal axes of the first teacher's table, and
    a wider one from its columns; the others keep the numbers that were drawn, but smaller: zeros would leave a product
    of them without a gradient. ``counts`` (rows,): how often training rows look each row up.
    """
    if not teachers:
        log.info("no teacher has an embedding; the student's starts at random")
        return
    path, size, own = next((one for one in teachers if one[1] == model.size), teachers[0])
    assert size == model.size or not frozen, "the configuration refuses a frozen embedding that no teacher has"
    weight = read_tensors(path)[TABLE][:, :size]
    weight = weight if own is None else weight[torch.from_numpy(own)]
    if size > model.size:
        axes, shares = principal_axes(scatter(weight, model.layout, counts))
        weight = weight @ torch.from_numpy(axes[:, : model.size].astype(np.float32))
        held = float(shares[: model.size].sum())
        log.info("the student's embedding starts from %d of a teacher's %d axes: %.1f %%", model.size, size, 100 * held)
    elif size < model.size:
        log.info("the student's embedding starts from a teacher's %d columns, %d are random", size, model.size - size)
    scale = _typical_size(weight, counts)
    factor = UNIT / scale if 0 < scale < TINY and not frozen else 1.0
    if factor != 1.0:
        log.info("the teacher's embedding is tiny (%.2g); the student starts from it times %.3g", scale, factor)
    taken = weight.shape[1]
    with torch.no_grad():
        model.embedding.weight[:, :taken] = weight * factor
        model.embedding.weight[:, taken : model.size] *= FAINT
        model.embedding.weight[:, model.size :] = 0.0
    model.embedding.weight.requires_grad_(not frozen)


def scatter(weight: Tensor, layout: Layout, counts: Int64) -> Float64:
    """What tells the values of fields apart, (D, D), as often as training rows meet them, of a table (rows, D).

    Vectors are taken about their field's mean, but not those of floats, which a row multiplies by a number about zero.
    """
    total = np.zeros((weight.shape[1], weight.shape[1]))
    for node in layout.spans.own:
        span = layout.spans.slice_of(node)
        rows, seen = weight[span].double().numpy(), np.asarray(counts[span], np.float64)
        if not layout.is_float(node) and seen.sum() > 0:
            rows = rows - (seen / seen.sum()) @ rows
        total += rows.T @ (rows * seen[:, None])
    return total


def _typical_size(weight: Tensor, counts: Int64) -> float:
    """Root mean square of the table's numbers as training rows meet them."""
    seen = torch.from_numpy(np.asarray(counts, np.float64))
    mean_square = (weight.double() ** 2).mean(dim=1)
    return float(((seen @ mean_square) / seen.sum()).sqrt())
