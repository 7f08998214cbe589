"""What is told of drift: to people as JSON, to Prometheus as gauges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from dagfm.encoding.encoder import Encoder
from dagfm.server.drift import HALF_LIFE, Drift, Drifted, Part
from dagfm.server.models import Served
from dagfm.server.repository import Repository
from dagfm.serving.reference import Values

DETAILED = 10
"""Fields, those that drifted most, of which all shares are told."""


def told(served: Served, drifted: Drifted) -> dict[str, Any]:
    """The window of a version as JSON has it, the fields that drifted most first."""
    scores, encoder = drifted.parts[0], served.scorer.bundle.encoder
    fields = {name: max(parts, key=lambda part: part.drift) for name, parts in drifted.by_field.items()}
    most = sorted(fields, key=lambda name: -fields[name].drift)
    lines = []
    for place, name in enumerate(most):
        line = {"field": name, **_figures(fields[name], drifted.enough), **_holes(fields[name])}
        if len(drifted.by_field[name]) > 1:
            line["number"] = drifted.by_field[name].index(fields[name]) + 1
        if place < DETAILED:
            line["values"] = _shares(fields[name], encoder)
        lines.append(line)
    return {
        "model": served.model,
        "version": served.version,
        "window": {"rows": round(drifted.rows, 1), "half_life_seconds": HALF_LIFE, "enough": drifted.enough},
        "reference": {"rows": drifted.reference.rows},
        "scores": {**_figures(scores, drifted.enough), "values": _shares(scores, encoder)}
        if scores.can_be_told
        else None,
        "fields": lines,
    }


def _figures(part: Part, enough: bool) -> dict[str, Any]:
    shift = part.shift
    return {
        "drift": round(part.drift, 4),
        "psi": round(shift.psi, 4),
        "by_chance": round(shift.by_chance, 4),
        "large": enough and shift.large,
    }


def _holes(part: Part) -> dict[str, Any]:
    """The shares of what is unknown and missing, then and now."""
    shares, found = part.shares, part.reference
    if isinstance(found, Values):
        return {"unknown": _pair(found.unknown, shares[0]), "missing": _pair(found.missing, shares[1])}
    return {"missing": _pair(found.missing, shares[0])}


def _shares(part: Part, encoder: Encoder) -> list[dict[str, Any]]:
    """Then and now, of each bin but unknown and missing."""
    found, now = part.reference, part.shares
    if isinstance(found, Values):
        names = [*found.names, "all others"]
        return [
            {"value": name, **_pair(then, share)}
            for name, then, share in zip(names, (*found.top, found.rest), (*now[3:], now[2]), strict=True)
        ]
    edges = np.array(found.edges)
    scale = encoder.scales.get(part.field or "")
    if scale is not None and len(scale.mean) == 1:
        edges = edges * scale.std[0] + scale.mean[0]
    limits: list[float | None] = [*(float(f"{edge:.6g}") for edge in edges), None]
    return [
        {"up_to": limit, **_pair(then, share)} for limit, then, share in zip(limits, found.bins, now[1:], strict=True)
    ]


def _pair(then: float, now: float) -> dict[str, float]:
    return {"reference": round(then, 6), "current": round(float(now), 6)}


class DriftFigures(Collector):
    """Gauges of every version that is served now, made when somebody asks."""

    def __init__(self, repository: Repository, drift: Drift) -> None:
        self._repository, self._drift = repository, drift

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All gauges; of versions with too few rows how many there are, and nothing else."""
        labels = ("model", "version")
        rows = GaugeMetricFamily("dagfm_drift_rows", "Sampled rows that drift is told of, faded.", labels=labels)
        scores = GaugeMetricFamily(
            "dagfm_score_drift", "Stability index of scores, beyond chance; 0 is none.", labels=labels
        )
        fields = GaugeMetricFamily(
            "dagfm_field_drift",
            "Stability index of a field's values, beyond chance; 0 is none.",
            labels=(*labels, "field"),
        )
        unknown = GaugeMetricFamily(
            "dagfm_unknown_excess", "Share of unknown values, less the bundle's own.", labels=(*labels, "field")
        )
        for served in [one for model in self._repository.models.values() for one in model.versions.values()]:
            drifted, of = self._drift.of(served), [served.model, served.label]
            if drifted is None:
                continue
            rows.add_metric(of, drifted.rows)
            if not drifted.enough:
                continue
            if drifted.parts[0].can_be_told:
                scores.add_metric(of, drifted.parts[0].drift)
            for name, parts in drifted.by_field.items():
                fields.add_metric([*of, name], max(part.drift for part in parts))
                if isinstance(parts[0].reference, Values):
                    unknown.add_metric([*of, name], float(parts[0].shares[0]) - parts[0].reference.unknown)
        yield from (rows, scores, fields, unknown)
