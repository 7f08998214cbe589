"""What a search for click rates worth memorising has found, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ALWAYS = 0.9
"""Share of rows of clicked values without a non-click from which it is worth a line."""
_REFUSED = 5
"""Refused keys that are told, the best first."""


def memory_told(facts: Mapping[str, Any]) -> list[str]:
    """Every key that is taken and the best of those that are not, then what the trials on validation rows said.

    ``facts`` as ``results.json`` holds them under ``memorize``.
    """
    taken = [one for one in facts["keys"] if one["refused"] is None]
    refused = [one for one in facts["keys"] if one["refused"] is not None]
    shown = [*taken, *refused[:_REFUSED]]
    names = [" x ".join(one["key"]) for one in shown]
    width = max(map(len, names), default=0)
    lines = [f"memorize: {facts['looked_at']} keys looked at, {len(taken)} taken, {facts['seconds']:,.0f} s"]
    for name, one in zip(names, shown, strict=True):
        what = f"logloss -{one['gain']:.5f}  {one['values']:>10,} values  {one['megabytes']:>7,.1f} MB"
        lines.append(f"  {name:<{width}}  {what}  {'taken' if one['refused'] is None else one['refused']}")
    for name, one in zip(names, taken, strict=False):
        if len(one["key"]) > 1 and one["one_label"] >= _ALWAYS:
            lines.append(
                f"  {name}: {100 * one['one_label']:.0f} % of what was clicked once was clicked always. If the log was "
                "made that way, test figures tell of memory alone (docs/memorize.md)"
            )
    trials = ", ".join(f"{one['fields']} fields {one['logloss']:.5f}" for one in facts["trials"])
    lines.append(f"  validation logloss of the student's network on clicks alone: {trials}")
    return lines
