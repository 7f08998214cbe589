"""The embedding: one table for all fields, looked up and pooled into one vector per row and field."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dagfm.encoding.rows import Int64
from dagfm.kernel.library import chosen_version
from dagfm.kernel.table import Pooling
from dagfm.nn.batch import Batch, Layout, Maxima
from dagfm.schema import Schema

INITIAL_STD = 0.1


class Embedding(nn.Module):
    """Table rows of all fields, (rows, D); field ``s`` has the rows of ``layout.spans``.

    A token is one row, a token_seq the sum, mean or maximum of its values' rows, a float the field's vector times the
    standardised value.
    """

    def __init__(self, layout: Layout, size: int) -> None:
        super().__init__()
        self.fields = layout.fields
        self.size = size
        # NumPy asks for large pages, which random access to a large table wants and torch does not ask for.
        self.weight = nn.Parameter(torch.from_numpy(np.empty((layout.table_rows, size), np.float32)))
        self._held: list[tuple[Tensor, Tensor]] = []

    def forward(self, batch: Batch) -> Tensor:
        """Return the field embeddings (B, F, D) of a batch."""
        if batch.pooled is not None:
            return batch.pooled.view(-1, self.fields, self.size)
        table = self.weight if batch.table is None else batch.table
        pooled: Tensor = _PooledLookup.apply(table, batch)  # type: ignore[no-untyped-call]
        return pooled.view(-1, self.fields, self.size)

    @torch.no_grad()
    def reset_parameters(self, schema: Schema, layout: Layout, generator: torch.Generator, reference: bool) -> None:
        """Draw the table: N(0, 0.1) by default; far larger or smaller starts cost AUC on MovieLens.

        ``reference`` draws xavier_normal as the reference does: all token fields as one table, each token_seq and all
        float vectors as tables of their own.
        """
        self.weight.normal_(0.0, INITIAL_STD, generator=generator)
        if not reference:
            return
        sizes = layout.spans.sizes
        together = {"ids": 0, "numbers": 0}
        for node in layout.spans.own:
            form = schema.fields[node].form
            if form in together:
                together[form] += int(sizes[node])
        for node in layout.spans.own:
            table_rows = together.get(schema.fields[node].form, int(sizes[node]))
            std = math.sqrt(2.0 / (table_rows + self.size))
            self.weight[layout.spans.slice_of(node)].normal_(0.0, std, generator=generator)

    def hold(self, rows: Tensor, values: Tensor) -> None:
        """Remember that ``rows`` (m,) hold ``values`` (m, k) in their first k columns, whatever training does."""
        order = rows.argsort()
        self._held.append((rows[order], values[order]))

    @torch.no_grad()
    def restore_held(self, among: Tensor | None = None) -> None:
        """Put back what is held: after a step, which also decays rows that have no gradient, and after a load.

        ``among`` (U,) are the only rows that may have moved, where these are known.
        """
        for rows, values in self._held:
            moved = slice(None) if among is None else _places(rows, among)
            self.weight[:, : values.shape[1]].index_copy_(0, rows[moved], values[moved])

    @torch.no_grad()
    def fill_untrained(self, layout: Layout, counts: Int64) -> None:
        """Set rows that never occur in training to the frequency-weighted mean of their field's rows.

        ``counts`` (rows,) says how often each row occurs in the training rows. An unseen user then scores as an
        average user, not as noise. A float field never missing in training has the vector of its mean value, zero.
        """
        seen = torch.from_numpy(np.asarray(counts, np.float32)).to(self.weight.device)
        for node in layout.spans.own:
            span = layout.spans.slice_of(node)
            share, rows = seen[span], self.weight[span]
            if layout.is_float(node):
                rows[share == 0] = 0.0
            elif bool(share.sum() > 0) and bool((share == 0).any()):
                rows[share == 0] = (share / share.sum()) @ rows
        self.restore_held()


def _pooling(table: Tensor, batch: Batch) -> Pooling | None:
    """The kernel's, where it is there and takes this table."""
    if table.device.type != "cpu" or table.dtype != torch.float32 or chosen_version() is None:
        return None
    return Pooling(table.detach().numpy(), batch.bags, torch.get_num_threads())


class _PooledLookup(torch.autograd.Function):
    """Weighted sums of table rows; the backward adds gradients by index, far cheaper on CPU than torch's own bag."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, batch: Batch) -> Tensor:
        ctx.batch = batch
        ctx.table_shape = table.shape
        ctx.pooling = _pooling(table, batch)
        if ctx.pooling is not None:
            pooled = torch.from_numpy(ctx.pooling.pooled())
        elif batch.owners is None:
            return F.embedding(batch.ids, table)
        else:
            pooled = F.embedding_bag(
                batch.ids,
                table,
                batch.offsets,
                mode="sum",
                per_sample_weights=None if batch.weights is None else batch.weights.to(table.dtype),
                include_last_offset=True,
            )
        if batch.maxima is not None:
            largest, ctx.winners = _largest(table, batch.maxima)
            pooled.index_copy_(0, batch.maxima.bags, largest)
        return pooled

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, None]:
        batch: Batch = ctx.batch
        if not ctx.needs_input_grad[0]:
            return None, None
        gradient: Tensor = gradients[0]
        if ctx.pooling is not None:
            table = torch.from_numpy(ctx.pooling.scattered(gradient.contiguous().numpy()))
        else:
            of_values = gradient if batch.owners is None else gradient.index_select(0, batch.owners)
            if batch.weights is not None:
                of_values = of_values * batch.weights.to(gradient.dtype).unsqueeze(1)
            table = torch.zeros(ctx.table_shape, dtype=gradient.dtype, device=gradient.device)
            table.index_add_(0, batch.ids, of_values)
        if batch.maxima is not None:
            table.scatter_add_(0, ctx.winners, gradient.index_select(0, batch.maxima.bags))
        return table, None


def _places(ordered: Tensor, wanted: Tensor) -> Tensor:
    """Where in ``ordered`` (m,), which ascends, those of ``wanted`` (U,) stand that are in it."""
    if not len(ordered):
        return wanted[:0]
    places = torch.searchsorted(ordered, wanted).clamp_(max=len(ordered) - 1)
    return places[ordered[places] == wanted]


def _largest(table: Tensor, maxima: Maxima) -> tuple[Tensor, Tensor]:
    """The largest of each number (M, D) over a bag's rows, and which row (M, D) has it: the first of equal ones."""
    values, _, _, winners = torch.embedding_bag(
        table, maxima.ids, maxima.offsets, mode=2, sparse=False, include_last_offset=True
    )
    return values, winners
