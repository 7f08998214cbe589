"""The description of a click log as tables and sentences, for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

FIELD_HEADER = (
    "field", "type", "distinct", "missing", "unseen in test", "AUC alone", "drift", "most frequent", "numbers",
)  # fmt: skip
"""The most telling first: a narrow terminal leaves out those to the right."""


def head(told: Mapping[str, Any]) -> list[str]:
    """A few sentences: rows, parts, label."""
    rows, label = told["rows"], told["label"]
    parts = ", ".join(f"{part} {rows[part]:,}" for part in ("train", "valid", "test"))
    left = f"; {rows['left_out']:,} left out" if rows["left_out"] else ""
    split = told["split"]["by"] + (f", {told['split']['column']}" if told["split"]["column"] else "")
    if not told["configured"]:
        split = f"{split}, the default"
    rule = " / ".join(label["columns"])
    if label["positive_from"] is not None:
        rule = f"{rule} from {label['positive_from']:g}"
    rates = ", ".join(f"{part} {_share(label['rate_by_part'][part])}" for part in ("train", "valid", "test"))
    lines = [
        f"{told['source']}: {rows['all']:,} rows{left}; split by {split}: {parts}",
        f"label {rule}: {_share(label['rate'])} are clicks ({rates})",
    ]
    if told["weight"] is not None:
        weight = told["weight"]
        spread = f"{weight['min']:g} to {weight['max']:g}, mean {weight['mean']:.4g}"
        lines.append(f"weights from {spread}, {weight['zero']:,} zero")
    return lines


def field_rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """One row a field, under FIELD_HEADER; what is estimated has a ``~``, what deserves a look a ``!``."""
    return [_row(one, told["sampled"]) for one in told["fields"]]


def pair_rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Pairs of ids, under PAIR_HEADER."""
    found: list[tuple[str, ...]] = []
    for pair in told["pairs"]:
        again = pair["repetition"] or {"repeated": 0.0, "same": None, "by_chance": None, "determined": None}
        determined = "-" if again["determined"] is None else f"{again['determined']:.2f}"
        cells = (_share(again["repeated"]), determined, _share(pair["seen"]["test"]))
        chances = (_share(again["same"]), _share(again["by_chance"]))
        found.append((" x ".join(pair["fields"]), _count(pair["distinct"]), *cells, *chances))
    return found


PAIR_HEADER = ("pair of ids", "distinct", "rows that repeat", "determined", "test seen", "same label", "by chance")


def time_rows(told: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Tenths of the rows by time, under TIME_HEADER."""
    return [
        (f"{one['from']} - {one['to']}", _share(one["share"]), _share(one["rate"]), _share(one["parts"]["test"]))
        for one in (told["time"] or {"bins": []})["bins"]
    ]


TIME_HEADER = ("time", "rows", "label rate", "of these in test")


def sentences(told: Mapping[str, Any]) -> list[str]:
    """What was found, and what is in no field."""
    found = [one["text"] for one in told["findings"]]
    found += [f"{name}, not described: {why}" for name, why in told["not_described"].items()]
    return found


def data_table(told: Mapping[str, Any]) -> list[str]:
    """The section of a report, as lines of Markdown."""
    lines = [line for sentence in head(told) for line in (_escaped(sentence), "")]
    lines += _table(FIELD_HEADER, field_rows(told))
    for header, rows in ((PAIR_HEADER, pair_rows(told)), (TIME_HEADER, time_rows(told))):
        if rows:
            lines += ["", *_table(header, rows)]
    found = sentences(told)
    if found:
        lines += ["", *(f"- {_escaped(sentence)}" for sentence in found)]
    return lines


def _row(one: Mapping[str, Any], sampled: bool) -> tuple[str, ...]:
    alone, drift = one["alone"], one["drift"] or {}
    shift = max(drift.values(), key=lambda shift: shift["psi"], default=None)
    top = (one["top"] or [None])[0]
    unseen = (one["unseen"] or {}).get("test")
    exact = one["distinct"] is None or one["distinct"]["exact"]
    mark = "" if exact else "~"
    return (
        one["name"],
        one["type"] + (f" {one['encode']}" if one["encode"] else "") + (" cross" if one["cross"] else ""),
        "-" if one["distinct"] is None else _count(one["distinct"]),
        _share(one["missing"]),
        "-" if unseen is None else f"{mark}{_share(unseen)}",
        "-" if alone is None else f"{alone['auc']:.3f}" + ("!" if alone["auc"] >= 0.95 else ""),
        "-" if shift is None else f"{shift['psi']:.2f}" + ("!" if any(one["large"] for one in drift.values()) else ""),
        "-" if top is None or one["unique"] else f"{mark}{_share(top['share'])} {_short(top['value'])}",
        _numbers(one, sampled),
    )


def _numbers(one: Mapping[str, Any], sampled: bool) -> str:
    numbers, lengths = one["numbers"], one["lengths"]
    if numbers is not None and numbers["count"]:
        middle = numbers["quantiles"].get("0.5")
        median = "" if middle is None else f", median {'~' if sampled else ''}{middle:.4g}"
        odd = "".join(f", {numbers[key]:,} {key}" for key in ("nan", "infinite", "unreadable") if numbers[key])
        return f"{numbers['min']:.4g} to {numbers['max']:.4g}{median}{odd}"
    if lengths is not None and lengths["max"] is not None:
        return f"{lengths['min']} to {lengths['max']} items, mean {lengths['mean']:.1f}"
    return "-"


def _count(distinct: Mapping[str, Any]) -> str:
    count = distinct["count"]
    return f"{count:,}" if distinct["exact"] else f"~{float(f'{count:.3g}'):,.0f}"


def _share(share: float | None) -> str:
    if share is None:
        return "-"
    return f"{share:.1%}" if share == 0 or share >= 0.001 else "<0.1%"


def _short(text: str, most: int = 20) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [header, ("---",) * len(header), *([_escaped(cell) for cell in row] for row in rows)]
    return ["| " + " | ".join(cells) + " |" for cells in lines]


def _escaped(text: str) -> str:
    """Text that Markdown leaves as it is within a cell."""
    for character in ("\\", "|", "`", "*", "_", "<", "["):
        text = text.replace(character, f"\\{character}")
    return text
