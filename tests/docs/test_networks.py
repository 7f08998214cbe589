"""The formulas of docs/networks.md count what the networks have and do."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from dagfm.config.networks import (
    AutoIntConfig,
    CINConfig,
    CrossNetConfig,
    DAGFMConfig,
    DCNv2Config,
    ECNConfig,
    FCNConfig,
    FFMConfig,
    FiBiNETConfig,
    FinalNetConfig,
    FMConfig,
    FmFMConfig,
    FwFMConfig,
    MLPConfig,
    QNNConfig,
    XDeepFMConfig,
)
from dagfm.nn.registry import build
from dagfm.schema import Field, Schema

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"
SIZES = [
    {"F": 2, "D": 1, "L": 1, "H": 4, "A": 2, "P": 3, "Q": 1, "R": 1, "M": 8, "K": 1, "T": 2},
    {"F": 7, "D": 4, "L": 3, "H": 6, "A": 8, "P": 28, "Q": 21, "R": 2, "M": 240, "K": 14, "T": 3},
]


def formulas() -> dict[str, tuple[str, str]]:
    """Parameters and multiply-adds by the first cell of their row."""
    table = PAGE.read_text().partition("## The table")[2].partition("<!-- begin")[0]
    rows = [re.split(r" *\| *", line.strip("| ")) for line in table.splitlines() if line.startswith("| ")]
    return {re.findall(r"`(.+?)`", row[0])[0]: (row[2], row[3]) for row in rows if len(row) >= 4}


def value(cell: str, sizes: dict[str, int]) -> int:
    code = re.findall(r"`(.+?)`", cell)[-1].replace("·", "*").replace("²", "**2")
    return int(eval(code, {"__builtins__": {}}, dict(sizes)))


def counted(config: Any, sizes: dict[str, int]) -> tuple[int, int]:
    schema = Schema(fields=tuple(Field(name=str(index)) for index in range(sizes["F"])))
    network = build(config, schema, sizes["D"])
    return sum(weight.numel() for weight in network.parameters()), network.multiply_adds


@pytest.mark.parametrize("sizes", SIZES)
def test_teachers(sizes: dict[str, int]) -> None:
    table = formulas()
    depth, widths = sizes["L"], (sizes["H"],) * sizes["L"]
    hidden: dict[str, Any] = {"hidden": widths, "batch_norm": False}
    teachers = {
        "crossnet": CrossNetConfig(depth=depth),
        "cin": CINConfig(cin=widths),
        "mlp": MLPConfig(**hidden),
        "dcnv2": DCNv2Config(depth=depth, **hidden),
        "structure: stacked": DCNv2Config(structure="stacked", depth=depth, **hidden),
        "xdeepfm": XDeepFMConfig(cin=widths, **hidden),
        "autoint": AutoIntConfig(depth=depth, attention_size=sizes["A"], **hidden),
        "fm": FMConfig(),
        "qnn": QNNConfig(depth=depth, maps=sizes["T"]),
        "finalnet": FinalNetConfig(blocks=(widths, widths)),
        "ecn": ECNConfig(depth=depth),
        "fcn": FCNConfig(exponential_depth=depth, linear_depth=depth),
        "ffm": FFMConfig(),
        "fwfm": FwFMConfig(),
        "fmfm": FmFMConfig(),
    }
    for row, config in teachers.items():
        told = tuple(value(cell, sizes) for cell in table[row])
        assert told == counted(config, sizes), row


@pytest.mark.parametrize("sizes", SIZES)
def test_fibinet_is_the_sum_of_its_parts(sizes: dict[str, int]) -> None:
    table = formulas()
    for bilinear in ("all", "each", "interaction"):
        parts = zip(table["fibinet"], table[f"bilinear: {bilinear}"], strict=True)
        told = tuple(sum(value(cell, sizes) for cell in cells) for cells in parts)
        config = FiBiNETConfig(bilinear=bilinear, hidden=(sizes["H"],) * sizes["L"], batch_norm=False)
        assert told == counted(config, sizes), bilinear


@pytest.mark.parametrize("sizes", SIZES)
def test_the_student_is_the_sum_of_its_parts(sizes: dict[str, int]) -> None:
    table = formulas()
    head = value(table["dagfm"][0], sizes)
    for type, connect in product(("inner", "outer", "kernel"), ("none", "causal", "full")):
        parts = zip(table[f"type: {type}"], table[f"connect: {connect}"], strict=True)
        parameters, multiply_adds = (sum(value(cell, sizes) for cell in cells) for cells in parts)
        config = DAGFMConfig(type=type, connect=connect, depth=sizes["L"])
        assert (parameters + head, multiply_adds) == counted(config, sizes), (type, connect)


@pytest.mark.parametrize("sizes", SIZES)
def test_hidden_layers_of_the_student_come_on_top(sizes: dict[str, int]) -> None:
    plain, widths = counted(DAGFMConfig(depth=sizes["L"]), sizes), (sizes["H"],) * sizes["L"]
    for row, config in {
        "head: mlp": DAGFMConfig(depth=sizes["L"], head="mlp", hidden=widths),
        "first_order: true": DAGFMConfig(depth=sizes["L"], first_order=True),
    }.items():
        told = (value(cell, sizes) for cell in formulas()[row])
        assert tuple(map(sum, zip(plain, told, strict=True))) == counted(config, sizes), row
