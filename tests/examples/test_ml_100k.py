"""The demo's configuration loads, and is the catalog's."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from dagfm.config import load_config
from dagfm.data.catalog import find

EXAMPLE = Path(__file__).parents[2] / "examples" / "ml-100k"


def test_the_configuration_loads() -> None:
    config = load_config(EXAMPLE / "dagfm.yaml")
    assert [
        Path(os.path.normpath(path))
        for path in (*config.data.train, *(table.path for table in config.data.tables.values()))
    ] == [EXAMPLE.parents[1] / "data" / "ml-100k" / name for name in find("ml-100k").wheel.checksums]
    assert config.schema_.context_size == 4
    assert config.recombination == "sides"


def test_its_fields_and_label_are_those_of_the_catalog() -> None:
    config = yaml.safe_load((EXAMPLE / "dagfm.yaml").read_text())
    dataset = find("ml-100k")
    assert config["fields"] == [field for field in dataset.variants["default"].fields if not isinstance(field, str)]
    assert config["data"]["label"] == dataset.editions[0].label
