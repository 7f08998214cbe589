"""What a step, and steps without a row, do to rows of the embedding: the kernel's table.h in torch, and its definition.

A row's idle steps have its decay for a gradient. Adam's cannot be summed up in a formula: the weight moves, and with it
the gradient of the next step. They are taken in stretches of at most 4, 16, 64 and then 256 steps. In a stretch moments
are what they would be if the weight stood still, and the weight moves by the sum of the means over the root of the
square in its middle; the part of that sum that is the weight's own decay is a flow towards zero that never goes beyond.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dagfm.training.history import EPSILON, LONGEST, MEAN, SQUARE, History

FIRST, GROWTH = 4, 4
"""The first stretch of idle steps, and how much longer the next one is."""

Rows = tuple[Tensor, Tensor, Tensor]
"""Weights (U, D), their mean and their square: of Adam (U, D) both, of Adagrad the square (U,); empty elsewhere."""


def stepped(
    rule: str, history: History, decay: float, weight: Tensor, gradient: Tensor, mean: Tensor, square: Tensor
) -> Rows:
    """Rows after the last step of ``history``, against ``gradient`` (U, D) and that of their decay."""
    step = history.steps
    rate = float(history.rates[step])
    if rule == "adagrad":
        square = square + gradient.square().mean(1)
        pace = torch.where(square > 0, rate / (square.sqrt() + EPSILON), 0.0)
        return weight - pace.unsqueeze(1) * (gradient + decay * weight), mean, square
    gradient = gradient + decay * weight
    if rule == "sgd":
        return weight - rate * gradient, mean, square
    mean = mean * MEAN + gradient * (1 - MEAN)
    square = square * SQUARE + gradient.square() * (1 - SQUARE)
    rate *= float(history.mean_fix[step])
    return weight - rate * mean / ((square * float(history.square_fix[step])).sqrt() + EPSILON), mean, square


def caught_up(
    rule: str, history: History, decay: float, last: Tensor, weight: Tensor, mean: Tensor, square: Tensor
) -> Rows:
    """Rows after the idle steps between ``last`` (U,) and the last one of ``history``."""
    if rule != "adam":
        path = torch.from_numpy(history.path).to(weight.device)
        drawn = decay * (path[history.steps] - path[last])
        if rule == "adagrad":
            drawn = torch.where(square > 0, drawn / (square.double().sqrt() + EPSILON), 0.0)
        return weight * torch.exp(-drawn).to(weight.dtype).unsqueeze(1), mean, square
    longest, state = FIRST, (weight, mean, square)
    while bool((last < history.steps).any()):
        steps = (history.steps - last).clamp(0, longest)
        state = _stretch(history, decay, last, steps, *state)
        last, longest = last + steps, min(longest * GROWTH, LONGEST)
    return state


def _stretch(
    history: History, decay: float, then: Tensor, steps: Tensor, weight: Tensor, mean: Tensor, square: Tensor
) -> Rows:
    """``steps`` (U,) idle steps of Adam from step ``then`` (U,) on, 0 to LONGEST."""

    def at(values: object, index: Tensor) -> Tensor:
        return torch.as_tensor(values, device=weight.device)[index].unsqueeze(1)

    middle = then + (steps + 1) // 2
    mean_left, square_left, run = (at(one, steps) for one in (history.mean_left, history.square_left, history.mean_run))
    rate, fix = at(history.rates, middle) * at(history.mean_fix, middle), at(history.square_fix, middle)
    after = square * square_left + (decay * weight).square() * (1 - square_left)
    each = rate / (((square + after) * (fix / 2)).sqrt() + EPSILON)
    drawn = each * decay * (steps.unsqueeze(1) - run)
    moved = (weight - each * run * mean) / (1 + drawn + drawn.square() / 2)
    idle = steps.unsqueeze(1) > 0
    mean = torch.where(idle, mean * mean_left + decay * moved * (1 - mean_left), mean)
    return torch.where(idle, moved, weight), mean, torch.where(idle, after, square)
