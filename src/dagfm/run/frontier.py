"""The frontier of a run's students: how good each is, how fast its bundle scores, and how large it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dagfm.data.dataset import Dataset
from dagfm.encoding.rows import Rows
from dagfm.metrics import Float64, Standing, auc_difference, logloss_difference, mean_difference
from dagfm.report.frontier import marked
from dagfm.run.judging import Model, sample, scaled_error, standing
from dagfm.serving.bundle import sizes
from dagfm.serving.timing import time_bundles
from dagfm.training.sampling import Sampling
from dagfm.training.teacher_logits import TeacherLogits

TIMES = ("microseconds_per_row", "rows_per_second")


@dataclass(frozen=True)
class Contender:
    """A student that may be served."""

    model: Model
    made_from: str
    """Fingerprint of the phase that its bundle holds."""
    bundle: Path
    teacher: TeacherLogits | None
    """Of its seed."""


def frontier(
    contenders: Sequence[Contender],
    best: str,
    monitor: str,
    valid: Dataset,
    rows: Rows,
    sampling: Sampling,
    earlier: Sequence[Mapping[str, Any]] = (),
) -> list[dict[str, Any]]:
    """One entry a student; none for a single one, which leaves nothing to choose.

    ``best``: the name of the best on ``valid`` by ``monitor``; ``rows``: what bundles are timed on; ``earlier``: an
    earlier frontier, whose times stay where it is of the same bundles, so that a run told again tells the same.
    """
    if len(contenders) < 2:
        return []
    times = _times(contenders, rows, earlier)
    champion = next(one for one in contenders if one.model.name == best)
    # Of a million rows this is tens of megabytes a student: two are held at a time.
    theirs = _seen(champion, monitor, valid, sampling)

    def behind(one: Contender) -> dict[str, float | None]:
        """The validation figure minus the best one's, and its standard error, row by row."""
        mine = theirs if one is champion else _seen(one, monitor, valid, sampling)
        figures = [contender.model.entry["metrics"]["valid"][monitor] for contender in (one, champion)]
        return {"mean": figures[0] - figures[1], "standard_error": _error(mine, theirs, monitor, valid)}

    return marked(
        [
            {
                **{key: one.model.entry[key] for key in ("name", "phase", "seed", "parameters", "multiply_adds")},
                "made_from": one.made_from,
                "best": one is champion,
                "valid": one.model.entry["metrics"]["valid"],
                "test": one.model.entry["metrics"]["test"],
                "behind": behind(one),
                **time,
                "bytes": sizes(one.bundle),
            }
            for one, time in zip(contenders, times, strict=True)
        ],
        monitor,
    )


def _times(contenders: Sequence[Contender], rows: Rows, earlier: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
    """Measured together or not at all: a time of another day is no comparison."""
    known = {one.get("made_from"): {key: one[key] for key in TIMES} for one in earlier}
    if known.keys() == {one.made_from for one in contenders}:
        return [known[one.made_from] for one in contenders]
    return time_bundles([one.bundle for one in contenders], rows)


def _seen(one: Contender, monitor: str, valid: Dataset, sampling: Sampling) -> Standing | Float64 | None:
    """What the validation rows say of a student, row by row: where it stands, or its squared distances to its teacher's
    logits; None where that cannot be said."""
    if monitor != "logit_mse":
        return standing(one.model, "valid", valid, sampling)
    logits = one.model.logits("valid")
    if logits is None or one.teacher is None:
        return None
    return np.square(sample(one.teacher.read("valid")).astype(np.float64) - sample(logits))


def _error(
    mine: Standing | Float64 | None, theirs: Standing | Float64 | None, monitor: str, valid: Dataset
) -> float | None:
    """The standard error of the difference of two students' figures."""
    if isinstance(mine, Standing) and isinstance(theirs, Standing):
        difference = auc_difference(mine, theirs) if monitor == "auc" else logloss_difference(mine, theirs)
    elif isinstance(mine, np.ndarray) and isinstance(theirs, np.ndarray):
        weights = np.ones(len(mine)) if valid.weights is None else sample(valid.weights).astype(np.float64)
        difference = mean_difference(mine - theirs, weights)
    else:
        return None
    return scaled_error(difference, len(valid))
