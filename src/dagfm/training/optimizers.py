"""What moves the weights, step by step, and its state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor

from dagfm.config.phases import PhaseConfig
from dagfm.encoding.rows import Int64
from dagfm.nn.batch import Batch
from dagfm.nn.looked_up import LookedUp, look_up
from dagfm.nn.model import TABLE, CTRModel
from dagfm.training.looked_up_adam import LookedUpAdam


class Optimizer:
    """Adam over the parameters that train, with L2 in the gradient of the embedding table only.

    That is a uniform Gaussian prior per row; decay of the network's own weights was worse. ``updated_rows: all`` moves
    the whole table at every step, ``looked_up`` only the rows of the batch, see ``LookedUpAdam``.
    """

    def __init__(
        self, model: CTRModel, settings: PhaseConfig, decay: float, occurrences: Int64, steps_per_epoch: int
    ) -> None:
        """``occurrences`` (rows,): how often the training rows hold each row of the table."""
        self.model = model
        weight = model.embedding.weight
        self.table: LookedUpAdam | None = None
        if settings.updated_rows == "looked_up" and weight.requires_grad:
            self.table = LookedUpAdam(weight, decay, occurrences, steps_per_epoch)
        dense = [] if self.table or not weight.requires_grad else [weight]
        network = [value for name, value in model.named_parameters() if value.requires_grad and name != TABLE]
        groups = [{"params": dense, "weight_decay": decay}, {"params": network, "weight_decay": 0.0}]
        self.adam = torch.optim.Adam([group for group in groups if group["params"]], fused=True)
        self.looked_up: LookedUp | None = None
        """What the batch in hand reads of the table, where only that is moved."""

    def opened(self, batch: Batch, labelled: int) -> Batch:
        """The batch as the model is to have it; its first ``labelled`` rows are labelled, the others recombined."""
        if self.table is None:
            return batch
        batch, self.looked_up = look_up(self.model.embedding.weight, batch, labelled * self.model.layout.fields)
        return batch

    def step(self, rate: float) -> None:
        """Move the weights against the gradients of the batch that was opened, and forget these."""
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)
        if self.table is None:
            self.model.embedding.restore_held()
            return
        assert self.looked_up is not None, "a batch is opened before its step"
        self.table.step(self.looked_up, rate)
        self.model.embedding.restore_held(among=self.looked_up.rows)

    def tensors(self) -> dict[str, Tensor]:
        """Moments and step counts under the parameters' names."""
        named = {
            f"{key}/{name}": value
            for name, parameter in self.model.named_parameters()
            for key, value in self.adam.state.get(parameter, {}).items()
        }
        if self.table is not None:
            named |= {f"{key}/{TABLE}": value for key, value in self.table.tensors().items()}
        return named

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Put back what ``tensors`` gave."""
        for name, parameter in self.model.named_parameters():
            state = {
                key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors
            }
            if not state:
                continue
            if name == TABLE and self.table is not None:
                self.table.restore(state)
            else:
                self.adam.state[parameter] = {
                    key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
                }
