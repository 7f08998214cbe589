"""Networks trained by RecBole's KD_DAGFM: its arrays, under its parameter names, into ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from dagfm.errors import InputError, listed, suggestion
from dagfm.nn.cin import CIN
from dagfm.nn.crossnet import CrossNet
from dagfm.nn.dagfm import DAGFM

Shapes = dict[str, tuple[int, ...]]


def network_from_state(name: str, state: Mapping[str, Any], config: Mapping[str, Any]) -> nn.Module:
    """Make the network ``name`` of KD_DAGFM with the weights of ``state``.

    Args:
        name: DAGFM, CrossNet or CIN, in any case.
        state: NumPy arrays or tensors under the reference's parameter names (``p.0``, ``cin.0.conv.weight``, ...).
        config: the reference's settings: feature_num, embedding_size, and depth, type or cin. A teacher's may be
            written ``t_depth`` and ``t_cin``, which then win, as in the reference.

    Returns:
        A module from field embeddings (B, F, D) to logits (B,), float64 where the weights are, else float32.

    Raises:
        InputError: the name or a setting is not valid, or a parameter is missing, unknown or of the wrong shape.
    """
    makers: dict[str, Callable[[Mapping[str, Any], Mapping[str, Any]], nn.Module]] = {
        "DAGFM": _dagfm,
        "CrossNet": _crossnet,
        "CIN": _cin,
    }
    for known, make in makers.items():
        if name.lower() == known.lower():
            with torch.no_grad():
                return make(state, config)
    raise InputError(f"no network '{name}' in KD_DAGFM, expected one of: {listed(makers)}.{suggestion(name, makers)}")


def _dagfm(state: Mapping[str, Any], config: Mapping[str, Any]) -> DAGFM:
    fields, size, depth = _number(config, "feature_num"), _number(config, "embedding_size"), _number(config, "depth")
    type = _setting(config, "type")
    if type not in ("inner", "outer"):
        raise InputError(f"'type' is {type!r}, expected one of: inner, outer")
    kind: Literal["inner", "outer"] = type
    names = ("p",) if kind == "inner" else ("p", "q")
    tensors = _checked(
        state,
        {"connect_layer": (fields, fields)}
        | {f"{name}.{layer}": (fields, fields, size) for name in names for layer in range(depth)}
        | {"linear.weight": (1, fields * (depth + 1)), "linear.bias": (1,)},
    )
    network = DAGFM(fields, size, kind, depth, "full").to(tensors["linear.weight"].dtype)
    source, target = torch.triu_indices(fields, fields)  # the reference masks the rest of the square
    packed = {
        name: torch.stack([tensors[f"{name}.{layer}"][source, target] for layer in range(depth)]) for name in names
    }
    head = {"head.weight": tensors["linear.weight"], "head.bias": tensors["linear.bias"]}
    network.load_state_dict(packed | head | {"connect_layer": tensors["connect_layer"]})
    return network


def _crossnet(state: Mapping[str, Any], config: Mapping[str, Any]) -> CrossNet:
    fields, size = _number(config, "feature_num"), _number(config, "embedding_size")
    depth, width = _number(config, "t_depth", "depth"), fields * size
    tensors = _checked(
        state,
        {f"cross_layer_w.{layer}": (width, width) for layer in range(depth)}
        | {f"bias.{layer}": (width, 1) for layer in range(depth)}
        | {"linear.weight": (1, width), "linear.bias": (1,)},
    )
    network = CrossNet(fields, size, depth).to(tensors["linear.weight"].dtype)
    network.load_state_dict(
        {
            "weight": torch.stack([tensors[f"cross_layer_w.{layer}"] for layer in range(depth)]),
            "bias": torch.stack([tensors[f"bias.{layer}"].squeeze(1) for layer in range(depth)]),
            "head.weight": tensors["linear.weight"],
            "head.bias": tensors["linear.bias"],
        }
    )
    return network


def _cin(state: Mapping[str, Any], config: Mapping[str, Any]) -> CIN:
    fields, size = _number(config, "feature_num"), _number(config, "embedding_size")
    given = _setting(config, "t_cin", "cin")
    if not isinstance(given, list | tuple) or not given or not all(_is_count(height) for height in given):
        raise InputError(f"'cin' is {given!r}, expected a list of feature maps a layer, each 1 or more")
    cin = tuple(int(height) for height in given)
    shapes: Shapes = {"linear": (sum(cin), 1)}
    for layer, (previous, height) in enumerate(zip((fields, *cin[:-1]), cin, strict=True)):
        shapes |= {f"cin.{layer}.conv.weight": (height, previous * fields, 1), f"cin.{layer}.conv.bias": (height,)}
    tensors = _checked(state, shapes)
    network = CIN(fields, size, cin).to(tensors["linear"].dtype)
    weights = {f"layers.{layer}.weight": tensors[f"cin.{layer}.conv.weight"].squeeze(2) for layer in range(len(cin))}
    biases = {f"layers.{layer}.bias": tensors[f"cin.{layer}.conv.bias"] for layer in range(len(cin))}
    network.load_state_dict(weights | biases | {"head.weight": tensors["linear"].t()})
    return network


def _setting(config: Mapping[str, Any], *keys: str) -> Any:
    """The first of ``keys`` that ``config`` has."""
    for key in keys:
        if key in config and config[key] is not None:
            return config[key]
    raise InputError(f"the settings have no '{keys[-1]}', expected it beside: {listed(config) or 'nothing'}")


def _number(config: Mapping[str, Any], *keys: str) -> int:
    value = _setting(config, *keys)
    if not _is_count(value):
        raise InputError(f"'{keys[-1]}' is {value!r}, expected a whole number, 1 or more")
    return int(value)


def _is_count(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= 1


def _checked(state: Mapping[str, Any], shapes: Shapes) -> dict[str, Tensor]:
    """The parameters as tensors of one dtype, each name and shape as ``shapes`` says."""
    for name in state:
        if name not in shapes:
            raise InputError(f"unknown parameter '{name}', expected: {listed(shapes)}.{suggestion(name, shapes)}")
    for name, shape in shapes.items():
        if name not in state:
            raise InputError(f"parameter '{name}' is missing, expected its shape to be {shape}")
        found = tuple(np.shape(state[name]))
        if found != shape:
            raise InputError(f"parameter '{name}' has shape {found}, expected {shape}")
    tensors = {name: torch.as_tensor(state[name]).detach() for name in shapes}
    dtype = torch.float64 if any(tensor.dtype == torch.float64 for tensor in tensors.values()) else torch.float32
    return {name: tensor.to("cpu", dtype) for name, tensor in tensors.items()}
