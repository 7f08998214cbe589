"""The text that ``dagfm init`` writes: YAML with a comment for every guess."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml

from dagfm.config.files import FileOptions
from dagfm.data.infer import Column, Label, Proposal


def rendered(proposal: Proposal, file: str, output: Path) -> str:
    """The configuration at ``output`` for the click log ``file``, as YAML text."""
    lines = [
        f"# Written by 'dagfm init' from {_seen(proposal)} of {_comment(file)}.",
        "# It holds what the data says; every guess gives its reason. Everything else has a default.",
        "",
        "data:",
        f"  train: {scalar(_path(file, output))}",
        *_options(proposal.options),
        *_tables(proposal, output),
        *_label(proposal.label),
        *_split(proposal),
        "",
        "# The order of the fields is the order of the graph's nodes.",
        *_about_sides(proposal),
        "fields:",
    ]
    for column in proposal.columns:
        lines += _field(column, proposal)
    if proposal.left_out:
        lines += ["", "# Left out:"]
        lines += [f"# - {_comment(scalar(column.name))} {_comment(column.why)}" for column in proposal.left_out]
    return "\n".join(lines) + "\n"


def scalar(value: Any) -> str:
    """One value as YAML on one line, quoted where YAML would read it as something else."""
    style = '"' if isinstance(value, str) and not value.isprintable() else None
    # Inside a list there is no document end marker, and what is safe in a flow list is safe in a block too.
    text = yaml.safe_dump(
        [value], default_flow_style=True, default_style=style, allow_unicode=True, width=sys.maxsize
    ).strip()
    return text[1:-1]


def _seen(proposal: Proposal) -> str:
    return f"{'all' if proposal.whole else 'a sample of'} {proposal.rows:,} rows"


def _path(file: str, output: Path) -> str:
    """The file as the configuration should name it: relative to its folder, absolute where the user said so."""
    if Path(file).is_absolute():
        return file
    return os.path.relpath(file, output.parent)


def _options(options: FileOptions) -> list[str]:
    """How the file is read, as it was said."""
    return [f"  {name}: {scalar(value)}" for name, value in options.model_dump(mode="json", exclude_unset=True).items()]


def _tables(proposal: Proposal, output: Path) -> list[str]:
    if not proposal.tables:
        return []
    named = [f"    {scalar(key)}: {scalar(_path(table, output))}" for key, table in proposal.tables.items()]
    return ["  # Found beside it; each is joined to every row by its key.", "  tables:", *named]


def _label(label: Label) -> list[str]:
    lines = ["  label:", *[f"    # {_comment(reason)}." for reason in label.why], f"    column: {scalar(label.column)}"]
    if label.positive_from is not None:
        lines.append(f"    positive_from: {_number(label.positive_from)}  # from this value on it is a click")
    if label.neutral is not None:
        lines.append(f"    # drop: [{_number(label.neutral)}]  # would leave out the rows that say neither")
    return lines


def _split(proposal: Proposal) -> list[str]:
    if proposal.time is None:
        return []
    keys = [f"by: time, column: {scalar(proposal.time.column)}"]
    if proposal.time.time_format is not None:
        keys.append(f"time_format: {scalar(proposal.time.time_format)}")
    return [
        "  # A random split, the default, learns from rows later than those it is judged by. By time is more honest:",
        f"  # split: {{{_comment(', '.join(keys))}}}",
    ]


def _about_sides(proposal: Proposal) -> list[str]:
    if not proposal.sides:
        return []
    return [
        "# Sides: a model that ranks many items for one request is told which fields belong to the request (context:",
        "# user, device, moment) and which to the item (candidate). Proposed by the names; uncomment what is right.",
    ]


def _field(column: Column, proposal: Proposal) -> list[str]:
    lines = [f"  - name: {scalar(column.name)}", f"    type: {column.type}  # {_comment(column.why)}"]
    lines += [f"    # CHECK: {_comment(warning)}" for warning in column.warnings]
    for key in ("column", "encode", "time_format"):
        value = getattr(column, key)
        if value is not None:
            lines.append(f"    {key}: {scalar(value)}")
    for key in ("separator", "max_length", "size"):
        value = getattr(column, key)
        if value is not None:
            # In double quotes a space is seen.
            lines.append(f'    {key}: "{value}"' if key == "separator" else f"    {key}: {value}")
    if column.name in proposal.sides:
        side, word = proposal.sides[column.name]
        lines.append(f"    # side: {side}  # the name says '{word}'")
    return lines


def _comment(text: str) -> str:
    """Text that stays within one comment: a line break would end it, control characters are not YAML."""
    return "".join(character if character.isprintable() else "?" for character in text)


def _number(value: float) -> str:
    return scalar(int(value) if value.is_integer() else value)
