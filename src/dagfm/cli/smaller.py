"""The bundle with smaller weights that ``dagfm export`` writes: what it is measured on, and what is told of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import typer

from dagfm.batch.labelled import LabelledRows, check_both
from dagfm.batch.rows import Scored
from dagfm.config.files import FileOptions, TableConfig
from dagfm.data.label import Labelled
from dagfm.encoding.rows import Rows, joined
from dagfm.run.held_back import held_back
from dagfm.serving.bundle import bundle_in
from dagfm.serving.comparison import Sample
from dagfm.serving.scorer import Scorer, load
from dagfm.serving.smaller import Exported, export

log = logging.getLogger(__name__)


def write(
    bundle: Path,
    output: Path,
    kind: str,
    *,
    file: str | None,
    options: FileOptions,
    tables: Mapping[str, TableConfig],
    **settings: Any,
) -> Exported:
    """Write ``bundle`` with weights of this kind to ``output``, measured on the labelled rows of ``file``, else on what
    the run of the bundle has held back; ``settings`` and errors are those of ``serving.smaller.export``."""
    scorer = load(bundle)
    if file is None:
        sample = held_back(bundle_in(bundle), scorer.bundle.encoder)
    else:
        sample = _sample(scorer, file, options, tables)
    done = export(bundle, output, kind, sample=sample, **settings)
    if sample is None:
        log.warning("%s: its accuracy is not known, as there were no labelled rows; name some with --rows", output)
    return done


def tell(done: Exported, as_json: bool) -> None:
    """Print sizes and figures before and after."""
    (old, new), comparison = done.sizes, done.comparison
    if as_json:
        sizes = {"before": dict(old), "after": dict(new)}
        told = {"weights": {"before": done.kind[0], "after": done.kind[1]}, "bytes": sizes, **comparison.told()}
        typer.echo(json.dumps(told, indent=2))
        return
    typer.echo(f"{'':12}{'before':>12}{'after':>12}")
    typer.echo(f"{'weights':12}{done.kind[0]:>12}{done.kind[1]:>12}")
    for name in ("embedding", "network", "bundle"):
        typer.echo(f"{f'{name} kB':12}{old[name] / 1e3:12,.1f}{new[name] / 1e3:12,.1f}{new[name] / old[name]:10.1%}")
    on, found = "drawn rows", comparison.measured
    if found is not None:
        on = found.on
        for name in ("auc", "logloss"):
            before, after, apart = (getattr(one, name) for one in (found.before, found.after, found))
            error = f"standard error {apart.standard_error:.6f}"
            typer.echo(f"{name:12}{before:12.5f}{after:12.5f}{apart.mean:+10.6f}, {error}")
    typer.echo(
        f"on {comparison.rows:,} {on}; probabilities differ by up to {comparison.largest:.2g}, "
        f"{comparison.mean:.2g} on average"
    )


def _sample(scorer: Scorer, file: str, options: FileOptions, tables: Mapping[str, TableConfig]) -> Sample:
    with LabelledRows.open(scorer, file, options, tables, log.info) as labelled:

        def kept(some: Scored) -> tuple[Rows, Labelled]:
            encoded, found = scorer.encode(some.table, file), labelled.labels(some)
            return encoded.take(np.flatnonzero(found.kept)), found

        parts = list(labelled.raw.each(kept))
    clicks = np.concatenate([np.empty(0, np.float32), *(found.clicks[found.kept] for _, found in parts)])
    weighed = [found.weights[found.kept] for _, found in parts if found.weights is not None]
    weights = np.concatenate(weighed) if weighed else None
    check_both(clicks, weights, file)
    return Sample(f"rows of {file}", joined([rows for rows, _ in parts]), clicks, weights)
