"""All that is told of a click log, as plain values with stable keys: what ``--json`` prints and a report shows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from dagfm.config.files import AS_SUFFIXES_SAY, FileOptions
from dagfm.data.describe.column import Described
from dagfm.data.describe.combinations import Combination, repetition
from dagfm.data.describe.drift import drift, of_numbers, of_values
from dagfm.data.describe.findings import findings
from dagfm.data.describe.passes import Seen, Times, look
from dagfm.data.describe.separation import auc_of_rates, weighted_auc
from dagfm.data.describe.subject import CONFIGURATIONS, Subject, of_config, of_file
from dagfm.data.mapped import blocks
from dagfm.data.split import OUT, PARTS
from dagfm.encoding.values import Float64, token_text
from dagfm.progress import LoggedProgress, Progress
from dagfm.schema import Field

FORMAT = 1
"""Version of the keys; they are added to, never renamed."""
TOP = 5
TIMES = 10
_BINS = 64
_LONGEST = 100
"""Characters of a value that are shown."""


def describe(
    source: str | Path,
    label: str | None = None,
    progress: Progress | None = None,
    overrides: Sequence[str] = (),
    options: FileOptions = AS_SUFFIXES_SAY,
) -> dict[str, Any]:
    """Describe the click log ``source``: a data file or glob, or a YAML configuration.

    Of a file, read as ``options`` say, types and label are inferred as ``dagfm init`` does, and the split is the
    default one; ``overrides`` are a configuration's. Works in bounded memory. Raises InputError for what cannot be
    read, and for a label that is none.
    """
    if Path(source).suffix.lower() in CONFIGURATIONS:
        subject = of_config(Path(source), list(overrides))
    else:
        subject = of_file(str(source), label, options)
    with look(subject, progress or LoggedProgress()) as seen:
        return _told(subject, seen)


def _told(subject: Subject, seen: Seen) -> dict[str, Any]:
    data = subject.config.data
    rows = sum(seen.rows.values())
    fields = [_field(one, subject, seen) for one in seen.fields]
    crosses = [_cross(one, subject, seen) for one in seen.combinations if one.configured]
    order = {one.name: index for index, one in enumerate(subject.config.fields)}
    described = {one["name"] for one in fields}
    told: dict[str, Any] = {
        "format": FORMAT,
        "source": subject.source,
        "configured": subject.configured,
        "rows": {"all": rows, **seen.rows, "left_out": len(seen.plan) - rows},
        "split": {"by": "files" if data.valid else data.split.by, "column": data.split.column},
        "label": _label(subject, seen),
        "weight": _weights(seen),
        "unmatched": seen.unmatched,
        "fields": sorted([*fields, *crosses], key=lambda one: order[one["name"]]),
        "pairs": [_pair(one, seen) for one in seen.combinations if not one.configured],
        "not_described": {name: why for name, why in subject.left_out.items() if name not in described},
        "time": _by_time(seen.times),
        "sampled": seen.sampled,
    }
    told["findings"] = findings(told, subject.outcomes, subject.warnings)
    return told


def _label(subject: Subject, seen: Seen) -> dict[str, Any]:
    label = subject.config.data.label
    weight, clicks, counts = np.zeros(OUT + 1), np.zeros(OUT + 1), np.zeros(OUT + 1)
    for block in blocks(len(seen.plan)):
        parts = seen.plan.parts[block]
        weights = np.ones(len(parts)) if seen.plan.weights is None else seen.plan.weights[block].astype(np.float64)
        weight += np.bincount(parts, weights, OUT + 1)
        clicks += np.bincount(parts, weights * seen.plan.clicks[block], OUT + 1)
        counts += np.bincount(parts, minlength=OUT + 1)
    weight, clicks = weight[:OUT], clicks[:OUT]
    return {
        "columns": list(label.columns),
        "positive_from": label.positive_from,
        "drop": list(label.drop),
        "rate": _ratio(clicks.sum(), weight.sum()),
        "rate_by_part": {part: _ratio(clicks[index], weight[index]) for index, part in enumerate(PARTS)},
        "clicks": float(clicks.sum()),
        "weight": float(weight.sum()),
    }


def _weights(seen: Seen) -> dict[str, Any] | None:
    """Of the weights, where there are any; of aggregated rows these are the impressions."""
    plan = seen.plan
    if plan.weights is None:
        return None
    total, low, high, zero, count = 0.0, np.inf, -np.inf, 0, 0
    for block in blocks(len(plan)):
        weights = plan.weights[block][plan.parts[block] != OUT].astype(np.float64)
        if weights.size:
            total, count = total + float(weights.sum()), count + weights.size
            low, high = min(low, float(weights.min())), max(high, float(weights.max()))
            zero += int((weights == 0).sum())
    if not count:
        return None
    return {"min": low, "mean": total / count, "max": high, "zero": zero}


def _field(one: Described, subject: Subject, seen: Seen) -> dict[str, Any]:
    rows = sum(seen.rows.values())
    told = _named(one.field, "/".join(sorted({str(kind) for kind in one.kinds})), subject)
    if one.values is not None:
        cells = one.values.rows + float(one.values.missing[:3].sum())
        told["distinct"] = {"count": one.values.sketch.distinct, "exact": one.values.sketch.exact}
        told["missing"] = _ratio(float(one.values.missing[:3].sum()), rows if one.reading == "items" else cells)
        told["top"] = [
            {"value": _shown(top.value), "rows": round(top.rows), "share": top.share}
            for top in one.values.top(TOP, cells)
        ]
        sums = one.values.sketch.sums[:, :3].sum(axis=1)
        told["unique"] = bool(rows > 1 and len(sums) and sums.max() == 1)
        told["constant"] = bool(one.values.sketch.exact and len(sums) == 1 and not one.values.missing[:3].any())
    if one.reading in ("ids", "items") and one.values is not None:
        told |= _unseen(one, subject, seen)
    if one.reading == "ids" and one.values is not None:
        table = one.values.table()
        auc = auc_of_rates(table)
        told["alone"] = None if auc is None else {"auc": auc, "by": "click rate of its values"}
        if seen.plan.weights is None:
            told["repetition"] = repetition(one.values.sketch.sums, one.values.sketch.share, rows)
    if one.reading in ("ids", "items") and one.values is not None:
        told["drift"] = drift(of_values(*one.values.by_part()))
    if one.figures is not None:
        numbers, of = one.numbers()
        told["numbers"] = one.figures.described(numbers)
        if one.reading == "number":
            told["alone"] = _alone(one, numbers, seen)
            told["drift"] = drift(of_numbers(np.where(np.isfinite(numbers), numbers, np.nan), of.parts))
        else:
            lengths = one.lengths.described() if one.lengths is not None else {"empty": 0}
            told["missing"] = _ratio(lengths["empty"], rows)
    if one.lengths is not None:
        told["lengths"] = one.lengths.described()
    if one.reading in ("ids", "items"):
        told["spelling"] = one.spelling.described() if one.spelling is not None else {}
    return told


def _named(field: Field, stored: str, subject: Subject) -> dict[str, Any]:
    """A field with all of its keys, the unknown ones null."""
    return {
        "name": field.name,
        "column": None if field.cross else field.source,
        "cross": list(field.cross) if field.cross else None,
        "type": field.type,
        "encode": field.encode,
        "stored": stored,
        "left_out": subject.left_out.get(field.name),
        **dict.fromkeys(
            (
                "distinct", "missing", "unseen", "unknown", "top", "unique", "constant", "numbers", "lengths", "alone",
                "repetition", "drift", "spelling",
            )
        ),
    }  # fmt: skip


def _unseen(one: Described, subject: Subject, seen: Seen) -> dict[str, Any]:
    """Shares of the cells of valid and test whose value training rows lack, and whose row is *unknown*."""
    assert one.values is not None
    field = one.field
    owner = subject.config.schema_.named(field.vocabulary) if field.vocabulary else field
    sharing = [
        other.values
        for other in seen.fields
        if other.values is not None and owner.name in (other.field.name, other.field.vocabulary)
    ]
    missing = one.values.missing[:3]
    cells = one.values.sketch.sums[:, :3].sum(axis=0) / one.values.sketch.share + missing
    if not one.values.sketch.exact and one.reading == "ids":
        cells = np.array([seen.rows[part] for part in PARTS], np.float64)
    never = one.values.unseen(sharing, 1, None)
    rare = one.values.unseen(sharing, owner.min_count, owner.max_size) if field.hash is None else never
    return {
        "unseen": {PARTS[part]: _ratio(count, cells[part]) for part, count in never.items()},
        "unknown": {PARTS[part]: _ratio(count, cells[part]) for part, count in rare.items()},
    }


def _alone(one: Described, numbers: Float64, seen: Seen) -> dict[str, Any] | None:
    """The best that a number alone does: by its size, by its values, by 64 bins of its size."""
    assert one.values is not None
    _, rows = one.numbers()
    found = {}
    here = ~np.isnan(numbers)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights.astype(np.float64)
    clicks = rows.clicks * weights
    auc = weighted_auc(numbers[here], clicks[here], (weights - clicks)[here])
    if auc is not None:
        found["the number itself" if auc >= 0.5 else "the number itself, falling"] = max(auc, 1 - auc)
    if (auc := auc_of_rates(one.values.table())) is not None:
        found["click rate of its values"] = auc
    finite = numbers[np.isfinite(numbers)]
    if finite.size:
        edges = np.unique(np.quantile(finite, np.arange(1, _BINS) / _BINS, method="lower"))
        bins = np.where(here, np.searchsorted(edges, numbers), len(edges) + 1)
        if (auc := auc_of_rates(rows.sums(bins, len(edges) + 2))) is not None:
            found[f"click rate of {_BINS} bins"] = auc
    if not found:
        return None
    by = max(found, key=lambda name: found[name])
    return {"auc": found[by], "by": by}


def _cross(one: Combination, subject: Subject, seen: Seen) -> dict[str, Any]:
    field = subject.config.schema_.named(one.name)
    told = _named(field, "cross", subject)
    sums, share = one.sketch.sums, one.sketch.share
    training = sums[:, 0]
    for key, least in (("unseen", 1), ("unknown", field.min_count)):
        told[key] = {
            PARTS[part]: _ratio(float(sums[training < least, part].sum()) / share, seen.rows[PARTS[part]])
            for part in (1, 2)
        }
    auc = auc_of_rates(sums)
    told |= {
        "distinct": {"count": one.sketch.distinct, "exact": one.sketch.exact},
        "missing": 0.0,
        "alone": None if auc is None else {"auc": auc, "by": "click rate of its values"},
        "drift": drift(of_values(sums[:, :3], np.zeros(3))) if one.sketch.exact else None,
    }
    return told


def _pair(one: Combination, seen: Seen) -> dict[str, Any]:
    """A pair of ids: how often it comes again, and whether its label is then the same."""
    sums, share = one.sketch.sums, one.sketch.share
    again = sums[:, 0] > 0
    rows = {PARTS[part]: seen.rows[PARTS[part]] for part in (1, 2)}
    found = {PARTS[part]: float(sums[again, part].sum()) / share for part in (1, 2)}
    return {
        "fields": list(one.members),
        "distinct": {"count": one.sketch.distinct, "exact": one.sketch.exact},
        "repetition": repetition(sums, share, sum(seen.rows.values())),
        "seen": {part: _ratio(min(found[part], rows[part]), rows[part]) for part in rows},
    }


def _by_time(times: Times | None) -> dict[str, Any] | None:
    """The label's rate, and the parts' shares, by tenths of the rows in their order of time."""
    if times is None or not len(times.values):
        return None
    values, rows = times.values, times.rows
    edges = np.unique(np.quantile(values, np.arange(1, TIMES) / TIMES, method="lower"))
    bins = np.searchsorted(edges, values)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights.astype(np.float64)
    found = []
    for index in range(len(edges) + 1):
        here = bins == index
        if here.any():
            when = values[here]
            found.append(
                {
                    "from": _moment(float(when.min())),
                    "to": _moment(float(when.max())),
                    "share": float(here.mean()),
                    "rate": _ratio(float((weights * rows.clicks)[here].sum()), float(weights[here].sum())),
                    "parts": {part: float((rows.parts[here] == number).mean()) for number, part in enumerate(PARTS)},
                }
            )
    return {"bins": found}


def _moment(value: float) -> str:
    """A point in time as ISO 8601 where the number can be one, else the number."""
    for unit in (1.0, 1e3, 1e6, 1e9):
        if 3e8 <= value / unit < 5e9:
            return datetime.fromtimestamp(value / unit, UTC).replace(tzinfo=None).isoformat(" ", "seconds")
    return f"{value:.16g}"


def _shown(value: Any) -> str:
    text = token_text(pl.Series([value]))[0]
    text = "" if text is None else text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _ratio(part: float, whole: float) -> float | None:
    return float(part) / float(whole) if whole else None
