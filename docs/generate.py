"""Fill the generated parts of the pages in this folder from the code: ``python docs/generate.py``.

A generated part stands between ``<!-- begin NAME ... -->`` and ``<!-- end NAME -->``; everything else is written by
hand. A test fails when a part is stale.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from catalog_sets import catalog_sets
from config_keys import PHASES, Lines, key_sections, value_text

from dagfm.config import Config
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
    NetworkConfig,
    QNNConfig,
    XDeepFMConfig,
)
from dagfm.config.presets import FIELD_DEFAULTS, PRESETS
from dagfm.config.training import TrainingConfig
from dagfm.nn.registry import build
from dagfm.schema import Field, Schema

DOCS = Path(__file__).parent
COMMAND = "python docs/generate.py"


def filled(text: str) -> str:
    """A page's text with every generated part made anew."""

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        body = "\n".join(PARTS[name]())
        return f"<!-- begin {name}: written by {COMMAND} -->\n{body}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (?P<name>[\w-]+).*?-->.*?<!-- end (?P=name) -->", part, text, flags=re.DOTALL)


def main() -> None:
    """Rewrite the pages that are stale."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (fresh := filled(text)) != text:
            page.write_text(fresh, encoding="utf-8")
            print(page)


# The preset


def preset_paper() -> Lines:
    """What ``preset: paper`` sets, beside the defaults."""
    paper = PRESETS["paper"]
    phases = [paper["training"][phase] for phase in PHASES]
    assert all(phase == phases[0] for phase in phases), "the preset's phases differ: give each a column"
    plain = {**paper, "training": {key: value for key, value in paper["training"].items() if key not in PHASES}}
    yield "| key | default | paper |"
    yield "|---|---|---|"
    for path, value in _flat(plain):
        yield f"| `{path}` | {value_text(_default_at(path))} | {value_text(value)} |"
    for kind, settings in FIELD_DEFAULTS["paper"].items():
        for key, value in settings.items():
            default = value_text(Field.model_fields[key].default)
            yield f"| `fields.{key}` of a {kind} | {default} | {value_text(value)} |"
    yield ""
    yield "and, for every phase and baseline:"
    yield ""
    yield f"| key | {' | '.join(f'`{phase}`' for phase in PHASES)} | paper |"
    yield "|---|" + "---|" * (len(PHASES) + 1)
    for key, value in phases[0].items():
        defaults = (value_text(getattr(TrainingConfig.model_fields[phase].default, key)) for phase in PHASES)
        yield f"| `{key}` | {' | '.join(defaults)} | {value_text(value)} |"


def _flat(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _default_at(path: str) -> Any:
    first, *rest = path.split(".")
    value: Any = Config.model_fields[first].default
    for key in rest:
        value = getattr(value[0] if isinstance(value, tuple) else value, key)
    return value


# The networks

WIDTHS = ((7, 16), (39, 16))
"""Fields and embedding size: MovieLens, Criteo."""


def network_costs() -> Lines:
    """Parameters and multiply-adds of the networks at their default settings, counted by the code."""
    rows: list[tuple[str, NetworkConfig]] = [
        (f"dagfm, {kind}, connect {connect}", DAGFMConfig(type=kind, connect=connect))
        for kind in ("inner", "outer", "kernel")
        for connect in ("none", "causal", "full")
    ]
    rows += [("dagfm, inner, connect causal, head mlp", DAGFMConfig(connect="causal", head="mlp"))]
    rows += [("crossnet", CrossNetConfig()), ("cin", CINConfig()), ("mlp", MLPConfig())]
    rows += [(f"dcnv2, {structure}", DCNv2Config(structure=structure)) for structure in ("parallel", "stacked")]
    rows += [("xdeepfm", XDeepFMConfig()), ("autoint", AutoIntConfig())]
    rows += [(f"fibinet, bilinear {kind}", FiBiNETConfig(bilinear=kind)) for kind in ("all", "each", "interaction")]
    others = (QNNConfig(), FinalNetConfig(), ECNConfig(), FCNConfig())
    pairwise = (FMConfig(), FFMConfig(), FwFMConfig(), FmFMConfig())
    rows += [(config.network, config) for config in (*others, *pairwise)]
    heads = [f"{fields} fields: {count}" for fields, _ in WIDTHS for count in ("parameters", "multiply-adds")]
    yield "| network | " + " | ".join(heads) + " |"
    yield "|---|" + "---:|" * len(heads)
    for name, config in rows:
        cells = []
        for fields, size in WIDTHS:
            schema = Schema(fields=tuple(Field(name=str(index)) for index in range(fields)))
            network = build(config, schema, size)
            cells += [sum(weight.numel() for weight in network.parameters()), network.multiply_adds]
        yield f"| {name} | " + " | ".join(f"{cell:,}" for cell in cells) + " |"


PARTS: dict[str, Callable[[], Lines]] = {
    "keys": key_sections,
    "preset-paper": preset_paper,
    "network-costs": network_costs,
    "catalog-sets": catalog_sets,
}

if __name__ == "__main__":
    main()
