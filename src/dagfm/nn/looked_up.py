"""The rows of the embedding table that one batch reads, apart from all the others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dagfm.nn.batch import Batch, Maxima


@dataclass(frozen=True)
class LookedUp:
    """The U table rows of a batch, each once."""

    rows: Tensor
    """(U,) int64, ascending."""
    counts: Tensor
    """(U,) int64, how often each one occurs in the labelled rows of the batch; 0 in recombined rows alone."""
    values: Tensor
    """(U, D), copied from the table before the step; a leaf, whose ``grad`` is the batch's gradient of these rows."""


def look_up(weight: Tensor, batch: Batch, labelled: int) -> tuple[Batch, LookedUp]:
    """Read the rows of the table ``weight`` (rows, D) that ``batch`` holds, and return the batch that looks up in them.

    The first ``labelled`` bags are those of labelled rows. The cost is set by the batch, however large the table is:
    the gradient is that of the rows read.
    """
    maxima = batch.maxima
    ids = batch.ids if maxima is None else torch.cat([batch.ids, maxima.ids])
    rows, places = torch.unique(ids, return_inverse=True)
    values = weight.detach().index_select(0, rows).requires_grad_()
    plain = len(batch.ids)
    counted = places[: int(batch.offsets[labelled])]
    if maxima is not None:
        counted = torch.cat([counted, places[plain:][_of_first_bags(maxima, labelled)]])
        maxima = replace(maxima, ids=places[plain:])
    counts = torch.bincount(counted, minlength=len(rows))
    return replace(batch, ids=places[:plain], maxima=maxima, table=values), LookedUp(rows, counts, values)


def _of_first_bags(maxima: Maxima, bags: int) -> Tensor:
    """Which values (V,) lie in the first ``bags`` of all bags."""
    return torch.repeat_interleave(maxima.bags < bags, maxima.offsets.diff())
