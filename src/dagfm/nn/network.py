"""What a network is to the rest: field embeddings in, logits out, and, where its paper has one, a loss of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from dagfm.kernel.calls import Terms


class Network(Protocol):
    """Maps field embeddings (B, F, size + extra_columns) to logits (B,); a torch module."""

    @property
    def extra_columns(self) -> int:
        """Columns that its embedding table has beside the ``size`` of the fields' vectors."""

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds a row by its definition, without the last linear unit."""

    def reset_parameters(self, generator: torch.Generator | None = None, reference: bool = False) -> None:
        """Draw new weights from ``generator``, with ``reference`` as the published code does."""

    def raise_logits(self, by: float) -> None:
        """Add a constant to every logit."""

    def __call__(self, x: Tensor) -> Tensor:
        """Field embeddings to logits."""

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """Its weights."""

    def state_dict(self) -> Mapping[str, Any]:
        """Its weights by name."""


@runtime_checkable
class OwnLoss(Protocol):
    """A network whose paper trains it with more than the cross-entropy of its logit."""

    def click_loss(self, draw: Callable[[], Tensor], labels: Tensor, weights: Tensor | None) -> Tensor:
        """The loss of a batch, a scalar.

        ``draw`` gives the batch's field embeddings, under fresh dropout each time; ``labels`` (B,); ``weights`` (B,)
        what a row's loss is multiplied by.
        """


@runtime_checkable
class KernelLoss(Protocol):
    """A network whose loss and gradients the compiled kernel finds in one pass."""

    def computes_loss(self, table: Tensor) -> bool:
        """Whether ``loss`` is there, as the network is now, for embeddings from ``table`` (rows, D)."""

    def loss(self, x: Tensor, terms: Terms) -> Tensor:
        """Field embeddings (B, F, D) to a loss of their logits, a scalar, faster than by way of these."""
