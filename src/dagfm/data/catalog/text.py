"""The configuration of a recipe as YAML, with the protocol, its published figures and what to know as comments."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dagfm.data.catalog.choose import Source
from dagfm.data.catalog.entry import Layout
from dagfm.data.catalog.recipe import Checked

_DEFAULT_SEPARATORS = {"csv": ",", "tsv": "\t", "recbole": "\t"}


def table_path(checked: Checked, role: str, output: Path) -> Path:
    """Where the side table of ``role`` is written that ``Checked.side_tables`` makes."""
    name = Path(checked.edition.parts[role].usual).stem
    return output.with_name(f"{output.stem}-{name}.parquet")


def rendered(checked: Checked, output: Path) -> str:
    """The configuration at ``output``; paths are relative to its folder, absolute where the user gave them so."""
    lines = [*_head(checked, output), "", "data:"]
    lines += [f"  {role}: {flow(_path(checked.files[role], output))}" for role in checked.edition.main]
    options = _reading(checked.edition.parts["train"].layout, checked.files["train"])
    lines += _keys(options, "  ")
    tables = [role for role in checked.edition.parts if role not in checked.edition.main]
    if tables:
        lines.append("  tables:")
        lines += [f"    {role}: {_table(checked, role, output)}" for role in tables]
    lines.append(f"  label: {flow(dict(checked.edition.label))}")
    if len(checked.edition.main) == 1:
        lines.append("  split: {by: random, ratios: [0.8, 0.1, 0.1], seed: 2022}")
    lines += ["", f"embedding: {{size: {checked.variant.size}}}", "", "fields:"]
    for field in checked.variant.fields:
        lines += _comment(field, "  # ") if isinstance(field, str) else [f"  - {flow(dict(field))}"]
    return "\n".join(lines) + "\n"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    # Inside a list there is no document end marker, and what is safe in a flow list is safe elsewhere too.
    dumped = yaml.safe_dump([value], default_flow_style=True, sort_keys=False, allow_unicode=True, width=sys.maxsize)
    return dumped.strip()[1:-1]


def _head(checked: Checked, output: Path) -> list[str]:
    dataset, variant = checked.dataset, checked.variant
    protocol = f", protocol {variant.title}" if len(dataset.variants) > 1 else ""
    lines = [
        f"# dagfm data prepare {output.name}; dagfm fit {output.name}",
        f"# {dataset.title}{protocol}. Written by 'dagfm data recipe {dataset.name}'.",
        "#",
        *_comment(f"Terms: {dataset.terms}"),
    ]
    if checked.edition.note:
        lines += _comment(checked.edition.note)
    for note in variant.notes:
        lines += _comment(note)
    lines += ["#", *_rows(checked)]
    if variant.published:
        lines += ["#", "# Published on this protocol: test AUC / logloss"]
        width = max(map(len, variant.published))
        lines += [f"#   {name:<{width}}  {auc} / {loss}" for name, (auc, loss) in variant.published.items()]
    return lines


def _rows(checked: Checked) -> list[str]:
    if not checked.rows:
        return _comment("The rows were not counted: whether the files are whole is not known.")
    if not checked.partial:
        counts = ", ".join(f"{checked.rows[role]:,} ({role})" for role in checked.edition.main)
        return _comment(f"Rows, counted and as expected: {counts}.")
    counts = ", ".join(
        f"{checked.rows[role]:,} of {part.rows or 0:,} ({role})" for role, part in checked.edition.parts.items()
    )
    return _comment(f"PARTIAL: not the whole data set. Rows: {counts}. No published figure compares with a run on it.")


def _reading(layout: Layout, source: Source) -> dict[str, Any]:
    """The keys that say how a text file is read; none for Parquet."""
    if source.first.suffix == ".parquet":
        return {}
    options: dict[str, Any] = {"format": layout.format}
    if layout.separator != _DEFAULT_SEPARATORS[layout.format]:
        options["separator"] = layout.separator
    if not layout.header:
        options["columns"] = list(layout.columns)
    if layout.encoding != "utf-8":
        options["encoding"] = layout.encoding
    return options


def _table(checked: Checked, role: str, output: Path) -> str:
    part, source = checked.edition.parts[role], checked.files[role]
    if part.derived is not None:
        return f"{flow(table_path(checked, role, output).name)}  # made of {source.first.name}"
    if part.layout.header:
        return flow(_path(source, output))
    return flow({"path": _path(source, output), **_reading(part.layout, source)})


def _path(source: Source, output: Path) -> str:
    if Path(source.text).is_absolute():
        return source.text
    return os.path.relpath(source.text, output.parent)


def _keys(values: Mapping[str, Any], indent: str) -> list[str]:
    return [f"{indent}{key}: {flow(value)}" for key, value in values.items()]


def _comment(text: str, start: str = "# ") -> list[str]:
    wrapped = textwrap.wrap(
        " ".join(text.split()), width=116, break_long_words=False, break_on_hyphens=False
    )  # a URL stays whole
    return [f"{start}{line}" for line in wrapped]
