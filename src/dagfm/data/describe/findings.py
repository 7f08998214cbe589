"""What of a description deserves a sentence: leaks, labels that ids determine, drift, odd ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LEAK = 0.95
"""AUC of one field alone. A whole model seldom passes it."""
DETERMINED, LARGELY = 0.8, 0.5
"""How far an id, or a pair, tells the label, to be told of. Between users' tastes it seldom comes near a half."""
REPEATED = 0.05
"""Of the rows; where fewer repeat an id or a pair, a score is hardly touched."""
MORE_THAN_ITS_MEMBERS = 0.1
UNSEEN = 0.2
LABEL_SHIFT = 0.1
"""Relative change of the label rate that is told, if it is no chance."""
_SIGMAS = 4.0

Finding = dict[str, Any]


def findings(
    told: Mapping[str, Any], outcomes: Sequence[str] = (), warnings: Mapping[str, Sequence[str]] | None = None
) -> list[Finding]:
    """All findings as ``{kind, fields, text}``, the gravest first.

    ``outcomes``: fields named like what is known only after the click; ``warnings``: of their ids, by field.
    """
    found = [
        *_label(told),
        *_leaks(told, outcomes),
        *_determined(told),
        *_drift(told),
        *_ids(told, warnings or {}),
        *_useless(told, outcomes),
        *_numbers(told),
    ]
    return [{"kind": kind, "fields": list(fields), "text": text} for kind, fields, text in found]


Told = Iterator[tuple[str, Sequence[str], str]]


def _label(told: Mapping[str, Any]) -> Told:
    rate, rows = told["label"]["rate"], told["rows"]
    if rate is None:
        yield "no_rows", (), "no rows are left to describe"
        return
    if rate in (0.0, 1.0):
        yield "one_class", (), f"all labels are {rate:g}: nothing can be learned or measured"
    for part in ("train", "valid", "test"):
        if not rows[part]:
            yield "empty_part", (), f"the {part} part is empty"
    before = told["label"]["rate_by_part"]["train"]
    for part in ("valid", "test"):
        after = told["label"]["rate_by_part"][part]
        if not before or after is None or before == 1:
            continue
        error = (before * (1 - before) * (1 / rows["train"] + 1 / rows[part])) ** 0.5
        if abs(after - before) > max(LABEL_SHIFT * before, _SIGMAS * error):
            yield (
                "label_drift",
                (),
                f"the label rate is {before:.2%} in train and {after:.2%} in {part}: scores will be off by as much",
            )
    for key, count in told["unmatched"].items():
        if count:
            yield "unmatched", (key,), f"{count:,} rows have a '{key}' that is not in its table"


def _leaks(told: Mapping[str, Any], outcomes: Sequence[str]) -> Told:
    for one in told["fields"]:
        name, alone = one["name"], one["alone"]
        if alone is not None and alone["auc"] >= LEAK:
            text = (
                f"{name} alone predicts the label: AUC {alone['auc']:.3f} by {alone['by']}; leave it out unless it is "
            )
            yield "leak", (name,), text + "known before the click"
        elif name in outcomes:
            yield "outcome", (name,), f"{name} sounds like another outcome, known only after the click"


def _determined(told: Mapping[str, Any]) -> Told:
    alone: dict[str, float] = {}
    for one in told["fields"]:
        again = one["repetition"]
        if again is None or again["determined"] is None:
            continue
        alone[one["name"]] = again["determined"]
        if _is_determined(again):
            yield (
                "determined",
                (one["name"],),
                f"{one['name']} {_verb(again, 'determines')} the label: {_words(again, 'value')}. "
                "A score on a random split measures memory of its values",
            )
    for pair in told["pairs"]:
        again = pair["repetition"]
        if again is None or not _is_determined(again):
            continue
        if again["determined"] < max(alone.get(name, 0.0) for name in pair["fields"]) + MORE_THAN_ITS_MEMBERS:
            continue
        seen = pair["seen"]["test"]
        where = f"; {seen:.0%} of the test rows have their pair in the training rows" if seen is not None else ""
        yield (
            "determined_pair",
            pair["fields"],
            f"{' and '.join(pair['fields'])} together {_verb(again, 'determine')} the label: {_words(again, 'pair')}. "
            f"A score on a random split measures memory of pairs{where}",
        )


def _is_determined(again: Mapping[str, Any]) -> bool:
    return again["repeated"] >= REPEATED and again["determined"] is not None and again["determined"] >= LARGELY


def _verb(again: Mapping[str, Any], verb: str) -> str:
    return verb if again["determined"] >= DETERMINED else f"largely {verb}"


def _words(again: Mapping[str, Any], what: str) -> str:
    return (
        f"{again['repeated']:.0%} of the rows share their {what} with others, and those have the same label "
        f"{again['same']:.1%} of the time ({again['by_chance']:.1%} by chance)"
    )


def _drift(told: Mapping[str, Any]) -> Told:
    for one in told["fields"]:
        name = one["name"]
        if one["left_out"] is not None or (one["unique"] and one["type"] == "token"):
            continue
        unseen = (one["unseen"] or {}).get("test")
        if unseen is not None and unseen >= UNSEEN:
            yield "unseen", (name,), f"{name}: {unseen:.0%} of the test cells hold a value that training rows lack"
        for part, shift in (one["drift"] or {}).items():
            if shift["large"]:
                text = f"{name} is distributed otherwise in {part} than in train: stability index {shift['psi']:.2f}, "
                yield "drift", (name,), text + f"{shift['tv']:.0%} of the rows would have to change"


def _ids(told: Mapping[str, Any], warnings: Mapping[str, Sequence[str]]) -> Told:
    words = {
        "float_ids": "ids written as floats, such as {example}: {example} and the whole number are two ids",
        "leading_zeros": "leading zeros, such as {example}: kept; a table with numbers instead will not match",
        "beyond_int64": "whole numbers beyond 2^63, such as {example}: kept; other programs may round them",
    }
    for one in told["fields"]:
        name, spelling = one["name"], one["spelling"] or {}
        for kind, seen in spelling.items():
            share = f"{seen['values']:,} of {seen['of']:,} values"
            yield kind, (name,), f"{name}: {words[kind].format(**seen)} ({share})"
        if not spelling:
            for line in warnings.get(name, ()):
                yield "ids", (name,), f"{name}: {line}"
        as_floats = set(one["stored"].split("/")) & {"halffloat", "float", "double"}
        if as_floats and one["type"] == "token" and one["encode"] is None and name not in warnings:
            yield "float_ids", (name,), f"{name}: ids as floats; those beyond 2^53 that were different are now equal"


def _useless(told: Mapping[str, Any], outcomes: Sequence[str]) -> Told:
    for one in told["fields"]:
        if one["left_out"] is not None:
            if one["name"] in outcomes or (one["alone"] is not None and one["alone"]["auc"] >= LEAK):
                continue  # said already
            yield "left_out", (one["name"],), f"{one['name']}, left out by 'dagfm init': {one['left_out']}"
        elif one["constant"]:
            yield "constant", (one["name"],), f"{one['name']} is the same in every row"
        elif one["missing"] == 1:
            yield "empty", (one["name"],), f"{one['name']} is empty in every row"
        elif one["unique"] and one["type"] == "token":
            yield "unique", (one["name"],), f"{one['name']} is different in every row: nothing to learn from it"


def _numbers(told: Mapping[str, Any]) -> Told:
    for one in told["fields"]:
        numbers = one["numbers"]
        if numbers is None:
            continue
        if numbers["infinite"]:
            text = f"{one['name']}: {numbers['infinite']:,} cells are infinite, which 'dagfm fit' refuses"
            yield "infinite", (one["name"],), text
        if numbers["unreadable"]:
            text = f"{one['name']}: {numbers['unreadable']:,} cells are no numbers, such as {numbers['example']!r}"
            yield "unreadable", (one["name"],), text
