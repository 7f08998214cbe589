"""Adam over whole parameters, in the compiled kernel or by torch; both leave the same state behind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from dagfm.kernel.adam import move, rule_of
from dagfm.kernel.library import chosen_version
from dagfm.training.history import EPSILON, MEAN, SQUARE

Decayed = Mapping[str, tuple[nn.Parameter, float]]
"""Parameters by name, each with its decay: L2 in the gradient."""


class Adam(Protocol):
    """Moves parameters that have a gradient (Kingma and Ba, ICLR 2015), and keeps their moments by name."""

    def step(self, rate: float) -> None:
        """Move them at this learning rate, and forget the gradients."""

    def tensors(self) -> dict[str, Tensor]:
        """``step``, ``exp_avg`` and ``exp_avg_sq``, each ``/`` the parameter's name."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what ``tensors`` gave, of this form or the other."""


def adam_of(parameters: Decayed) -> Adam:
    """The kernel's where it can be: torch's takes longer to call than to move a small network, and its import loads
    torch's compiler."""
    plain = all(one.device.type == "cpu" and one.dtype == torch.float32 for one, _ in parameters.values())
    return KernelAdam(parameters) if plain and chosen_version() is not None else TorchAdam(parameters)


class KernelAdam:
    """In the kernel: float32 on a CPU."""

    def __init__(self, parameters: Decayed) -> None:
        self.parameters = parameters
        self._steps = dict.fromkeys(parameters, 0)
        self._moments = {name: (torch.zeros_like(one), torch.zeros_like(one)) for name, (one, _) in parameters.items()}

    def step(self, rate: float) -> None:
        """See ``Adam``."""
        for name, (parameter, decay) in self.parameters.items():
            if parameter.grad is None:
                continue
            self._steps[name] += 1
            rule = rule_of(rate, self._steps[name], MEAN, SQUARE, EPSILON)
            mean, square = self._moments[name]
            weight, gradient = parameter.detach(), parameter.grad.contiguous()
            move(weight.numpy(), gradient.numpy(), mean.numpy(), square.numpy(), decay, rule)
            parameter.grad = None

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adam``; of parameters that have been moved."""
        found: dict[str, Tensor] = {}
        for name, steps in self._steps.items():
            if steps:
                mean, square = self._moments[name]
                found |= {f"step/{name}": torch.tensor(float(steps)), f"exp_avg/{name}": mean}
                found |= {f"exp_avg_sq/{name}": square}
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Adam``."""
        for name in self.parameters:
            if f"step/{name}" in tensors:
                self._steps[name] = int(tensors[f"step/{name}"])
                self._moments[name] = tensors[f"exp_avg/{name}"].clone(), tensors[f"exp_avg_sq/{name}"].clone()


class TorchAdam:
    """By torch, on any device."""

    def __init__(self, parameters: Decayed) -> None:
        self.parameters = parameters
        # A call of torch's moves a group, so parameters of one decay are one.
        by_decay: dict[float, list[nn.Parameter]] = {}
        for one, decay in parameters.values():
            by_decay.setdefault(decay, []).append(one)
        groups = [{"params": alike, "weight_decay": decay} for decay, alike in by_decay.items()]
        betas = MEAN, SQUARE
        self._adam = torch.optim.Adam(groups, betas=betas, eps=EPSILON, fused=True) if groups else None

    def step(self, rate: float) -> None:
        """See ``Adam``."""
        if self._adam is None:
            return
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._adam.zero_grad(set_to_none=True)

    def tensors(self) -> dict[str, Tensor]:
        """See ``Adam``."""
        state = {} if self._adam is None else self._adam.state
        return {
            f"{key}/{name}": value
            for name, (parameter, _) in self.parameters.items()
            for key, value in state.get(parameter, {}).items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See ``Adam``."""
        for name, (parameter, _) in self.parameters.items():
            if self._adam is not None and f"step/{name}" in tensors:
                self._adam.state[parameter] = {
                    key: tensors[f"{key}/{name}"].to(torch.device("cpu") if key == "step" else parameter.device)
                    for key in ("step", "exp_avg", "exp_avg_sq")
                }
