"""What Prometheus may know: requests, rows, latency, scores, unknown ids, bundle versions and reloads."""

from __future__ import annotations

import os

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from dagfm.encoding.rows import Float32
from dagfm.server.models import Change, Served
from dagfm.server.settings import MULTIPROCESS

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
SCORES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)


class Metrics:
    """The figures of one application; those of all workers where the environment names a folder to share them in."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._others: list[Collector] = []
        registry = self._registry
        self.requests = Counter(
            "dagfm_requests", "Answered requests.", ("model", "endpoint", "status"), registry=registry
        )
        self.rows = Counter("dagfm_rows", "Rows and candidates scored.", ("model", "version"), registry=registry)
        self.seconds = Histogram(
            "dagfm_request_seconds",
            "From a request's head to its answer.",
            ("model", "endpoint"),
            buckets=SECONDS,
            registry=registry,
        )
        self.scores = Histogram(
            "dagfm_score", "Served probabilities.", ("model", "version"), buckets=SCORES, registry=registry
        )
        self.unknown = Counter(
            "dagfm_unknown_ids", "Values never seen in training, in sampled requests.", ("model", "field"),
            registry=registry,
        )  # fmt: skip
        self.ids = Counter("dagfm_ids", "Values of sampled requests.", ("model", "field"), registry=registry)
        self.bundles = Gauge(
            "dagfm_bundle_workers",
            "Workers that serve this bundle.",
            ("model", "version", "fingerprint"),
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.reloads = Counter("dagfm_reloads", "Loads of a model, by result.", ("model", "result"), registry=registry)

    def observe_scores(self, served: Served, scores: Float32) -> None:
        """Count ``scores`` (n,) in the histogram, all at once."""
        self.rows.labels(served.model, served.label).inc(len(scores))
        histogram = self.scores.labels(served.model, served.label)
        if len(scores) == 1:
            histogram.observe(float(scores[0]))
            return
        # The histogram takes one value at a time, which for a thousand rows takes longer than to score them.
        places, counts = np.unique(np.searchsorted(_EDGES, scores), return_counts=True)
        for place, count in zip(places.tolist(), counts.tolist(), strict=True):
            histogram._buckets[place].inc(count)
        histogram._sum.inc(float(scores.sum(dtype=np.float64)))

    def observe_change(self, change: Change, before: dict[str, str]) -> None:
        """Count a load or unload; ``before``: the fingerprints that were served, by version."""
        name, versions = change.model.name, change.model.versions
        for version, mark in before.items():
            if version not in versions or versions[version].fingerprint != mark:
                self.bundles.labels(name, version, mark).set(0)
        for version, served in versions.items():
            self.bundles.labels(name, version, served.fingerprint).set(1)
        if change.fresh:
            self.reloads.labels(name, "loaded").inc()
        if change.refused:
            self.reloads.labels(name, "refused").inc()

    def add(self, collector: Collector) -> None:
        """Have the page tell what ``collector`` finds out when it is asked; it speaks for all workers itself."""
        self._others.append(collector)
        self._registry.register(collector)

    def page(self) -> bytes:
        """All figures in Prometheus' text format."""
        registry = self._registry
        if MULTIPROCESS in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            for collector in self._others:
                registry.register(collector)
        lines = generate_latest(registry).splitlines(keepends=True)
        # Bundles that nobody serves any more, of which there would be one more with each reload.
        return b"".join(line for line in lines if not (line.startswith(_BUNDLES) and line.endswith(b" 0.0\n")))


_BUNDLES = b"dagfm_bundle_workers{"
_EDGES = np.array(SCORES, np.float32)
