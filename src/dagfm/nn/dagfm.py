"""DAGFM, the student: fields as the nodes of a directed acyclic graph (Tian et al., WSDM 2023)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from dagfm.kernel.calls import Terms
from dagfm.nn import compiled
from dagfm.nn.messages import MESSAGES
from dagfm.nn.readout import Readout, readout
from dagfm.schema import Schema

_CHUNK = 1 << 19
"""Numbers in the states of the rows that a CPU takes at once: larger ones leave the caches (2.5 times slower)."""

MessageType = Literal["inner", "outer", "kernel"]
Connect = Literal["full", "causal", "none"]

_GAIN = 1.414
"""Of the reference's xavier_normal for messages."""


class DAGFM(nn.Module):
    """Every order up to ``depth + 1`` of field interactions, by dynamic programming over the fields (KD-DAGFM).

    ``H0 = C E``; per layer ``A_s = Σ_{f≤s} M_{f,s}(H_f)`` and ``H_s ← H0_s ⊙ A_s``; the logit is linear in all the
    ``Σ_d H_s``, with ``hidden`` units beside that line a multilayer perceptron of them. After layer t, node s holds the
    order-(t+1) interactions of all non-decreasing paths that end in s. ``first_order``: the embedding is one column
    wider than ``size``, as an FM's is, and the weights of the values in it are added to the logit.

    A message ``M_{f,s}(h)`` is ``p ⊙ h`` (inner), ``<p, h> q`` (outer) or ``W h`` (kernel). Only the triangle f ≤ s is
    used, so only that is stored: ``pairs = F(F+1)/2`` rows in the order of ``torch.triu_indices(F, F)``, that is
    (0,0), (0,1), ..., (0,F-1), (1,1), ...

    On a CPU the compiled kernel computes float32 inner and outer messages where it was built; torch does the rest.

    Parameters:
        p: (depth, pairs, D), inner and outer.
        q: (depth, pairs, D), outer.
        w: (depth, pairs, D, D), kernel; a row maps the source's state (last axis) to the message.
        connect_layer: C, (F, F) where connect is full; where it is causal its lower triangle, (pairs,), in the order
            of ``torch.tril_indices(F, F)``; absent where it is none.
        head: weight (1, F·(depth+1)), layer by layer and node by node, and bias (1,); see ``DeepReadout`` for the rest
            where there are hidden units.
        distillation_head: another such head, while a student is distilled that learns its teacher's logit through it.
    """

    _upper: Tensor
    _lower: Tensor

    def __init__(
        self,
        fields: int,
        size: int,
        type: MessageType,
        depth: int,
        connect: Connect,
        hidden: Sequence[int] = (),
        first_order: bool = False,
    ) -> None:
        super().__init__()
        self.fields, self.size, self.depth = fields, size, depth
        self.extra_columns = 1 if first_order else 0
        self.message, self.connect = type, connect
        pairs = fields * (fields + 1) // 2
        self.names = {"inner": ("p",), "outer": ("p", "q"), "kernel": ("w",)}[type]
        shape = (depth, pairs, size, size) if type == "kernel" else (depth, pairs, size)
        for name in self.names:
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        if connect == "none":
            self.register_parameter("connect_layer", None)
        else:
            self.connect_layer = nn.Parameter(torch.empty((fields, fields) if connect == "full" else pairs))
        self.hidden = tuple(hidden)
        self.head = readout(fields * (depth + 1), hidden)
        self.distillation_head: Readout | None = None
        source, target = torch.triu_indices(fields, fields)
        self.register_buffer("_upper", source * fields + target, persistent=False)
        row, column = torch.tril_indices(fields, fields)
        self.register_buffer("_lower", row * fields + column, persistent=False)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights as the reference does (ours are the same): messages over the full square, then packed."""
        for name in self.names:
            packed: Tensor = getattr(self, name)
            square = packed.new_empty(self.fields, self.fields, *packed.shape[2:])
            for layer in packed.data:
                nn.init.xavier_normal_(square, gain=_GAIN, generator=generator)
                layer.copy_(square.flatten(0, 1)[self._upper])
        if self.connect_layer is not None:
            identity = torch.eye(self.fields, device=self._lower.device)
            self.connect_layer.data.copy_(identity.flatten()[self._lower] if self.connect == "causal" else identity)
        self.head.draw(generator)

    def forward(self, x: Tensor) -> Tensor:
        """Field embeddings (B, F, D), (B, F, D + 1) with first-order weights, to logits (B,)."""
        vectors = x[..., : self.size]
        if type(self.head) is Readout and self._below_learns(vectors) and self._in_kernel(vectors):
            logits = compiled.logits(vectors, self._below(), self.head.weight, self.head.bias)
        else:
            logits = torch.cat([self.head(sums) for sums in self._summed_states(vectors)])
        return logits + x[..., self.size].sum(1) if self.extra_columns else logits

    def computes_loss(self, table: Tensor) -> bool:
        """Whether ``loss`` is there: with a linear head alone, in the kernel; see ``KernelLoss``."""
        plain = type(self.head) is Readout and not self.extra_columns and self.distillation_head is None
        return plain and self._below_learns(table) and self._in_kernel(table)

    def loss(self, x: Tensor, terms: Terms) -> Tensor:
        """Field embeddings (B, F, D) to a loss of their logits, a scalar."""
        return compiled.loss(x, self._below(), self.head.weight, self.head.bias, terms)

    def grow_distillation_head(self, generator: torch.Generator) -> None:
        """Give the states a second head, drawn from ``generator``, whose logits start where those of the first do."""
        head = readout(self.fields * (self.depth + 1), self.hidden)
        head.draw(generator)
        head.bias.data.copy_(self.head.bias.data)
        self.distillation_head = head.to(self.head.weight.device)

    def two_logits(self, x: Tensor, pull: float) -> tuple[Tensor, Tensor]:
        """What ``forward`` gives (B,), and the logits (B,) of the distillation head on the same states.

        Of the former's gradient the states, and all below them, get ``pull`` times as much; with 0, nothing.
        """
        assert self.distillation_head is not None, "it is grown before distillation"
        states = list(self._summed_states(x[..., : self.size]))
        served = torch.cat([self.head(_pulled(sums, pull)) for sums in states])
        distilled = torch.cat([self.distillation_head(sums) for sums in states])
        if not self.extra_columns:
            return served, distilled
        first = x[..., self.size].sum(1)
        return served + _pulled(first, pull), distilled + first

    def _summed_states(self, x: Tensor) -> Iterator[Tensor]:
        """``Σ_d H_s`` of all layers and nodes, (F·(depth+1), rows), of as many rows as the caches hold at a time."""
        if self._in_kernel(x):
            yield compiled.summed_states(x, self._below()).t()
            return
        connect = self.connect_matrix()
        layers = list(zip(*(self.square(name) for name in self.names), strict=True))
        rows = max(1, _CHUNK // (self.fields * self.size)) if x.device.type == "cpu" else max(1, len(x))
        for chunk in torch.split(x, rows):
            yield self._sums(chunk, connect, layers)

    def _in_kernel(self, x: Tensor) -> bool:
        return compiled.takes(self.message, x, self._weights()[0])

    def _below(self) -> compiled.Parameters:
        p, *q = self._weights()
        return self.message, self.connect, p, q[0] if q else None, self.connect_layer

    def _weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self.names]

    def _below_learns(self, x: Tensor) -> bool:
        """Whether gradients, if any, go further down than the head."""
        learning = [x, *self._weights(), self.connect_layer]
        return not torch.is_grad_enabled() or any(part is not None and part.requires_grad for part in learning)

    def _sums(self, x: Tensor, connect: Tensor | None, layers: list[tuple[Tensor, ...]]) -> Tensor:
        h0 = self._initial_states(x, connect)
        h, sums = h0, [h0.sum(1)]
        for weights in layers:
            h = h0 * MESSAGES[self.message](h, *weights)
            sums.append(h.sum(1))
        return torch.cat(sums)

    @torch.no_grad()
    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""
        self.head.bias.add_(by)

    def square(self, name: str) -> Tensor:
        """Message weights ``name`` as (depth, F, F, ...), indexed [layer, source, target], zero below the diagonal."""
        packed: Tensor = getattr(self, name)
        full = packed.new_zeros(self.depth, self.fields**2, *packed.shape[2:])
        full = full.index_copy(1, self._upper, packed)
        return full.view(self.depth, self.fields, self.fields, *packed.shape[2:])

    def connect_matrix(self) -> Tensor | None:
        """C as (F, F), zero above the diagonal where connect is causal; None where it is none."""
        if self.connect != "causal" or self.connect_layer is None:
            return self.connect_layer
        full = self.connect_layer.new_zeros(self.fields**2)
        return full.index_copy(0, self._lower, self.connect_layer).view(self.fields, self.fields)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row: messages, connect layer and hidden units, without the last line's F·(depth+1)."""
        pairs = self.fields * (self.fields + 1) // 2
        message = {"inner": self.size, "outer": 2 * self.size, "kernel": self.size**2}[self.message]
        mixed = {"full": self.fields**2, "causal": pairs, "none": 0}[self.connect]
        return self.depth * pairs * message + mixed * self.size + self.head.multiply_adds

    def _initial_states(self, x: Tensor, connect: Tensor | None) -> Tensor:
        """``H0 = C E`` as (F, D, B), in memory (D, F, B) for inner messages, whose products run with D leading."""
        rows = len(x)
        if self.message == "inner":
            states = x.permute(2, 1, 0).contiguous()
            if connect is not None:
                states = torch.bmm(connect.expand(self.size, -1, -1), states)
            return states.transpose(0, 1)
        states = x.reshape(rows, self.fields * self.size).t().contiguous()
        if connect is not None:
            states = connect @ states.view(self.fields, self.size * rows)
        return states.view(self.fields, self.size, rows)


def _pulled(x: Tensor, share: float) -> Tensor:
    """``x`` itself, which hands on ``share`` times its gradient."""
    still = x.detach()
    return still + share * (x - still) if share else still


def resolve_connect(connect: Literal["auto", "full", "causal", "none"], schema: Schema) -> Connect:
    """What ``auto`` stands for: causal where the schema names candidate fields, so that ranking is exact, else full."""
    if connect != "auto":
        return connect
    return "causal" if schema.has_candidates else "full"
