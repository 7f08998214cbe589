"""Every network by its name in the configuration; a new one is a file here, a config class, and a line or two below."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dagfm.config.networks import NetworkConfig
from dagfm.nn.autoint import AutoInt
from dagfm.nn.cin import CIN
from dagfm.nn.crossnet import CrossNet
from dagfm.nn.dagfm import DAGFM, resolve_connect
from dagfm.nn.dcnv2 import DCNv2
from dagfm.nn.ecn import ECN
from dagfm.nn.fcn import FCN
from dagfm.nn.ffm import FFM
from dagfm.nn.fibinet import FiBiNET
from dagfm.nn.finalnet import FinalNet
from dagfm.nn.fm import FM
from dagfm.nn.fmfm import FmFM
from dagfm.nn.fwfm import FwFM
from dagfm.nn.mlp import MLP
from dagfm.nn.network import Network
from dagfm.nn.qnn import QNN
from dagfm.nn.xdeepfm import XDeepFM
from dagfm.schema import Schema

BUILDERS: dict[str, Callable[[Any, Schema, int], Network]] = {
    "dagfm": lambda c, schema, size: DAGFM(
        len(schema), size, c.type, c.depth, resolve_connect(c.connect, schema), c.head_units, c.first_order
    ),
    "crossnet": lambda c, schema, size: CrossNet(len(schema), size, c.depth),
    "cin": lambda c, schema, size: CIN(len(schema), size, c.cin),
    "fm": lambda c, schema, size: FM(len(schema), size),
    "mlp": lambda c, schema, size: MLP(len(schema), size, **_deep(c)),
    "dcnv2": lambda c, schema, size: DCNv2(len(schema), size, c.depth, c.structure, **_deep(c)),
    "xdeepfm": lambda c, schema, size: XDeepFM(len(schema), size, c.cin, **_deep(c)),
    "autoint": lambda c, schema, size: AutoInt(len(schema), size, c.depth, c.heads, c.attention_size, **_deep(c)),
    "fibinet": lambda c, schema, size: FiBiNET(len(schema), size, c.bilinear, c.reduction, **_deep(c)),
    "qnn": lambda c, schema, size: QNN(len(schema), size, c.depth, c.heads, c.maps, c.dropout),
    "finalnet": lambda c, schema, size: FinalNet(len(schema), size, c.blocks, c.gating, c.dropout),
    "ecn": lambda c, schema, size: ECN(len(schema), size, c.depth, c.dropout),
    "fcn": lambda c, schema, size: FCN(len(schema), size, c.exponential_depth, c.linear_depth, c.dropout),
    "ffm": lambda c, schema, size: FFM(len(schema), size),
    "fwfm": lambda c, schema, size: FwFM(len(schema), size),
    "fmfm": lambda c, schema, size: FmFM(len(schema), size),
}


def _deep(config: Any) -> dict[str, Any]:
    """The settings of the hidden layers."""
    return {"hidden": config.hidden, "dropout": config.dropout, "batch_norm": config.batch_norm}


def build(
    config: NetworkConfig,
    schema: Schema,
    size: int,
    *,
    generator: torch.Generator | None = None,
    reference: bool = False,
) -> Network:
    """Make the network that ``config`` describes, for the fields of ``schema`` and embeddings of ``size`` numbers.

    Weights are drawn from ``generator`` (torch's own where it is None), with ``reference`` as the published code does.
    """
    network = BUILDERS[config.network](config, schema, size)
    network.reset_parameters(generator, reference)
    return network
