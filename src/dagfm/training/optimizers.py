"""What moves the weights, step by step, and its state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from dagfm.config.phases import PhaseConfig
from dagfm.kernel.library import chosen_version
from dagfm.nn.batch import Batch
from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.adam import adam_of
from dagfm.training.averaging import WeightAverage
from dagfm.training.table_rows import CompiledRows, TableRows, TorchRows


class Optimizer:
    """Adam over the parameters that train, with L2 in the gradient of the embedding table only.

    That is a uniform Gaussian prior per row; decay of the network's own weights was worse. ``updated_rows: all`` moves
    the whole table at every step, ``looked_up`` only the rows of the batch, see ``TableRows``.
    """

    def __init__(self, model: CTRModel, settings: PhaseConfig, decay: float) -> None:
        self.model = model
        weight = model.embedding.weight
        self.table: TableRows | None = None
        if settings.updated_rows == "looked_up" and weight.requires_grad:
            plain = weight.device.type == "cpu" and weight.dtype == torch.float32
            compiled = plain and chosen_version() is not None and not model.layout.has_maxima
            self.table = (CompiledRows if compiled else TorchRows)(weight, settings.embedding_optimizer, decay)
        self.dense = adam_of(
            {
                name: (value, decay if name == TABLE else 0.0)
                for name, value in model.named_parameters()
                if value.requires_grad and (name != TABLE or self.table is None)
            }
        )

    def opened(self, batch: Batch) -> Batch:
        """The batch as the model is to have it."""
        return batch if self.table is None else self.table.opened(batch)

    def step(self, rate: float, average: WeightAverage | None = None) -> None:
        """Move the weights, and their average, against the gradients of the batch that was opened; forget these."""
        self.dense.step(rate)
        if self.table is None:
            self.model.embedding.restore_held()
        else:
            self.model.embedding.restore_held(among=self.table.step(rate, average))
        if average is not None:
            average.update(lazily=self.table is not None)

    def settle(self) -> None:
        """Make the table what it stands for: see ``TableRows``."""
        if self.table is not None:
            self.table.settle()
            self.model.embedding.restore_held()

    def tensors(self) -> dict[str, Tensor]:
        """Moments and step counts under the parameters' names."""
        named = self.dense.tensors()
        if self.table is not None:
            named |= {f"rows/{key}": value for key, value in self.table.tensors().items()}
        return named

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        self.dense.restore(tensors)
        if self.table is not None:
            own = {key.removeprefix("rows/"): value for key, value in tensors.items() if key.startswith("rows/")}
            self.table.restore(own)
