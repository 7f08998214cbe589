"""The rows of the embedding table that one batch reads, apart from all the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dagfm.nn.batch import Batch


@dataclass(frozen=True)
class LookedUp:
    """The U table rows of a batch, each once."""

    rows: Tensor
    """(U,) int64, ascending."""
    values: Tensor
    """(U, D), copied from the table before the step; a leaf, whose ``grad`` is the batch's gradient of these rows."""


def look_up(weight: Tensor, batch: Batch, catch_up: Callable[[Tensor], None]) -> tuple[Batch, LookedUp]:
    """Read the rows of the table ``weight`` (rows, D) that ``batch`` holds, and return the batch that looks up in them.

    ``catch_up`` is told the rows (U,) before they are read. The cost is set by the batch, however large the table is:
    the gradient is that of the rows read.
    """
    maxima = batch.maxima
    ids = batch.ids if maxima is None else torch.cat([batch.ids, maxima.ids])
    rows, places = torch.unique(ids, return_inverse=True)
    catch_up(rows)
    values = weight.detach().index_select(0, rows).requires_grad_()
    plain = len(batch.ids)
    if maxima is not None:
        maxima = replace(maxima, ids=places[plain:])
    return replace(batch, ids=places[:plain], maxima=maxima, table=values), LookedUp(rows, values)
