"""An explanation as a terminal shows it: the sum first, then what is strongest in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import typer

from dagfm.cli.tables import plain_table
from dagfm.metrics import sigmoid
from dagfm.schema import Field
from dagfm.serving.explanation.explanation import Explanation, Reading
from dagfm.serving.scorer import Scorer

FIELDS, PAIRS = 12, 6
"""Lines of the tables; what else there is, is summed in one line more."""
_WIDEST = 36
_ORDERS = ("single fields", "pairs", "triples")


def print_explanations(titles: Sequence[str], found: Sequence[Explanation], scorer: Scorer) -> None:
    """Print of each row what one asks first: how sure, of what parts, for the sake of which values."""
    for title, one in zip(titles, found, strict=True):
        _print_one(title, one, scorer)
    connect = scorer.bundle.network["connect"]
    if found and connect != "none":
        which = "other fields" if connect == "full" else "fields before it"
        typer.echo(
            f"In pairs and paths a name is a node: the field with what 'connect: {connect}' mixes into it of {which}."
        )


def _print_one(title: str, one: Explanation, scorer: Scorer) -> None:
    calibration = scorer.bundle.calibration
    empty = sigmoid(np.array(calibration["scale"] * one.empty_logit + calibration["shift"]))
    typer.echo(f"{title}: probability {one.probability:.4f}, logit {one.logit:+.4f}")
    if abs(one.served_logit - one.logit) > 1e-4:
        typer.echo(f"  calibrated {one.served_logit:+.4f}")
    typer.echo(f"  an empty row: {empty:.4f}, logit {one.empty_logit:+.4f}; to which its fields add:")
    fields = []
    for field in scorer.schema:
        without = "" if field.cross else f"{one.if_missing[field.source]:.4f}"
        fields.append((field.name, _said(field, one.values[field.name]), one.from_empty[field.name], without))
    _print(("field", "value", "adds", "if missing"), fields, FIELDS, left=2)
    parts = [("bias", one.bias), *((_order(index), value) for index, value in enumerate(one.by_order))]
    typer.echo(f"  logit {one.logit:+.4f} = {'  '.join(f'{name} {value:+.4f}' for name, value in parts)}")
    if pairs := [(_product(edge[:2]), edge.value) for edge in one.by_edge if edge.source != edge.target]:
        _print(("pair that ends products", "adds"), pairs, PAIRS)
    if one.paths:
        _print(("strongest paths", "adds"), [(_product(path.nodes), path.value) for path in one.paths], len(one.paths))


def _said(field: Field, reading: Reading) -> str:
    """A field's value in one line, and what the model does not know of it."""
    value = reading.value
    between = " × " if field.cross else ", "
    text = between.join(map(_plain, value)) if isinstance(value, list) else _plain(value)
    if len(text) > _WIDEST:
        text = f"{text[: _WIDEST - 3]}..."
    if reading.status in ("known", "hashed"):
        return text
    return reading.status if value is None else f"{text} ({reading.status})"


def _plain(value: Any) -> str:
    if value is None:
        return "missing"
    return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split())


def _order(index: int) -> str:
    return _ORDERS[index] if index < len(_ORDERS) else f"products of {index + 1}"


def _product(nodes: Sequence[str]) -> str:
    return " × ".join(nodes)


def _print(header: Sequence[str], rows: Sequence[tuple[Any, ...]], most: int, left: int = 1) -> None:
    """The ``most`` strongest of rows whose cell behind the ``left`` first ones is a number, and the sum of the rest."""
    ordered = sorted(rows, key=lambda cells: -abs(cells[left]))
    shown, rest = ordered[:most], ordered[most:]
    lines = [[*cells[:left], f"{cells[left]:+.4f}", *cells[left + 1 :]] for cells in shown]
    if rest:
        more = [f"{len(rest):,} more", *[""] * (left - 1), f"{sum(cells[left] for cells in rest):+.4f}"]
        lines.append([*more, *[""] * (len(header) - len(more))])
    plain_table(header, lines, left=left)
