"""The optimizer, its schedule, and its state as named tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dagfm.config.phases import PhaseConfig


def make_optimizer(model: nn.Module, settings: PhaseConfig, decay: float) -> torch.optim.Adam:
    """Adam over the parameters that train; ``decay`` is L2 in the gradient of the whole embedding table only.

    That is a uniform Gaussian prior per row. Decay of looked-up rows only, or of the network's own weights, was worse.
    """
    table = [value for name, value in model.named_parameters() if value.requires_grad and name == "embedding.weight"]
    network = [value for name, value in model.named_parameters() if value.requires_grad and name != "embedding.weight"]
    groups = [{"params": table, "weight_decay": decay}, {"params": network, "weight_decay": 0.0}]
    return torch.optim.Adam([group for group in groups if group["params"]], lr=settings.learning_rate, fused=True)


def learning_rate(settings: PhaseConfig, step: int, steps: int) -> float:
    """The learning rate of step ``step`` of ``steps``; a pure function, so a resumed run needs no scheduler state."""
    if settings.schedule == "constant":
        return settings.learning_rate
    return settings.learning_rate * 0.5 * (1.0 + math.cos(math.pi * step / steps))


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Adam) -> dict[str, Tensor]:
    """Adam's moments and step counts under the parameters' names."""
    return {
        f"{key}/{name}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Adam, tensors: dict[str, Tensor]) -> None:
    """Put back what ``optimizer_tensors`` gave."""
    for name, parameter in model.named_parameters():
        state = {
            key: tensors[f"{key}/{name}"] for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in tensors
        }
        if state:
            optimizer.state[parameter] = {
                key: value if key == "step" else value.to(parameter.device) for key, value in state.items()
            }
