"""Layers one row at a time, in NumPy: parts of the slow forms that networks must agree with."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from dagfm.nn.feed_forward import FeedForward


def randomised(module: nn.Module) -> nn.Module:
    """The module in float64 and evaluation mode, every weight and running figure drawn anew."""
    generator = torch.Generator().manual_seed(0)
    module = module.double().eval()
    for parameter in module.parameters():
        parameter.data.normal_(generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith("variance"):
            buffer.uniform_(0.5, 2.0, generator=generator)
        elif name.endswith("mean"):
            buffer.normal_(generator=generator)
    return module


def array(tensor: torch.Tensor) -> np.ndarray:
    """The numbers of a weight."""
    return tensor.detach().numpy()


def hidden(deep: FeedForward, h: np.ndarray) -> np.ndarray:
    """The last hidden layer of one input (inputs,)."""
    for index, layer in enumerate(deep.layers):
        z = [row @ h + shift for row, shift in zip(array(layer.weight), array(layer.bias), strict=True)]
        if deep.norms is not None:
            norm = deep.norms[index]
            figures = (array(each) for each in (norm.mean, norm.variance, norm.weight, norm.bias))
            z = [(one - m) / (v + 1e-5) ** 0.5 * w + b for one, m, v, w, b in zip(z, *figures, strict=True)]
        h = np.array([max(one, 0.0) for one in z])
    return h
