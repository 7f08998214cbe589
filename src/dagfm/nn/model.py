"""An embedding and a network on top: encoded rows in, logits out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dagfm.config import NetworkConfig
from dagfm.encoding.rows import Int64
from dagfm.kernel.calls import Terms
from dagfm.nn.batch import Batch, Layout
from dagfm.nn.dagfm import DAGFM
from dagfm.nn.dropout import dropout
from dagfm.nn.embedding import Embedding
from dagfm.nn.network import KernelLoss, OwnLoss
from dagfm.nn.registry import build
from dagfm.schema import Schema

TABLE = "embedding.weight"
"""What the embedding table is called among a model's weights."""


class CTRModel(nn.Module):
    """A click-through-rate model: (B rows) -> logits (B,)."""

    def __init__(
        self, schema: Schema, layout: Layout, config: NetworkConfig, size: int, *, seed: int, reference: bool = False
    ) -> None:
        """Build and initialise for embeddings of ``size`` numbers; ``reference`` draws as the reference does."""
        super().__init__()
        self.config = config
        self.schema = schema
        self.layout = layout
        self.size = size
        self.dropout = 0.0
        generator = torch.Generator().manual_seed(seed)
        self.network = build(config, schema, size, generator=generator, reference=reference)
        self.embedding = Embedding(layout, size + self.network.extra_columns)
        self.embedding.reset_parameters(schema, layout, generator, reference)

    def forward(self, batch: Batch) -> Tensor:
        """Return logits (B,)."""
        return self.network(self._dropped(self.embedding(batch)))

    @property
    def computes_loss(self) -> bool:
        """Whether ``loss`` is there: see ``KernelLoss``."""
        return isinstance(self.network, KernelLoss) and self.network.computes_loss(self.embedding.weight)

    def loss(self, batch: Batch, terms: Terms) -> Tensor:
        """A loss of the logits, a scalar, without making these."""
        assert isinstance(self.network, KernelLoss), "callers ask whether it computes a loss"
        return self.network.loss(self._dropped(self.embedding(batch)), terms)

    def click_loss(self, batch: Batch, labels: Tensor, weights: Tensor | None) -> Tensor:
        """The loss on clicks alone, a scalar: the network's own where it has one, else the cross-entropy."""
        embedded = self.embedding(batch)
        if isinstance(self.network, OwnLoss):
            return self.network.click_loss(lambda: self._dropped(embedded), labels, weights)
        return F.binary_cross_entropy_with_logits(self.network(self._dropped(embedded)), labels, weights)

    def two_logits(self, batch: Batch, pull: float) -> tuple[Tensor, Tensor]:
        """The logits (B,) of a student's served head and of its distillation head; see ``DAGFM.two_logits``."""
        assert isinstance(self.network, DAGFM), "only students are distilled"
        return self.network.two_logits(self._dropped(self.embedding(batch)), pull)

    def grow_distillation_head(self, seed: int) -> None:
        """Give a student the second head through which it learns its teacher's logit."""
        assert isinstance(self.network, DAGFM), "only students are distilled"
        self.network.grow_distillation_head(torch.Generator().manual_seed(seed))

    @property
    def has_distillation_head(self) -> bool:
        """Whether a second head learns the teacher's logit."""
        return isinstance(self.network, DAGFM) and self.network.distillation_head is not None

    def drop_distillation_head(self) -> None:
        """Take the second head away, where there is one: it is not served."""
        if isinstance(self.network, DAGFM):
            self.network.distillation_head = None

    def train_only_the_head(self) -> None:
        """Keep everything below a student's head as it is."""
        assert isinstance(self.network, DAGFM), "only students are finetuned"
        self.requires_grad_(False)
        self.network.head.requires_grad_(True)

    def _dropped(self, embedded: Tensor) -> Tensor:
        return dropout(embedded, self.dropout) if self.training and self.dropout > 0 else embedded

    def fill_untrained(self, counts: Int64) -> None:
        """Give rows that training never sees their field's mean; see ``Embedding.fill_untrained``."""
        self.embedding.fill_untrained(self.layout, counts)

    @property
    def network_parameters(self) -> int:
        """Parameters of the network, the embedding table not counted."""
        return sum(parameter.numel() for parameter in self.network.parameters())
