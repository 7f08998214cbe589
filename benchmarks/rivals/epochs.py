"""One epoch of a network of ours on clicks, as a run trains it, and the same beside a rival's passes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from training import Silent

from dagfm.run.fit import fit
from rivals.movielens import CONFIG, MovieLens


def epoch(config: Path, network: str | dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """What a run says of one epoch: ``training_rows_per_second`` (batches and look-up included, evaluation not),
    ``metrics``."""
    asked = ["phase=teacher_training", f"teacher={json.dumps(network)}"]
    asked += [f"training.teacher_training.{key}" for key in ("epochs=1", "evaluations_per_epoch=1", "ema=0")]
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        results = fit(config, Path(folder) / "run", overrides=[*asked, *overrides], progress=Silent()).results
    found: dict[str, Any] = results["models"][0]
    return found


def beside(name: str, rates: Iterable[float], data: MovieLens) -> None:
    """Print the best training rows/s of a rival and of our student's network, measured after each of the ``rates``."""
    theirs, ours = [], []
    for rate in rates:
        theirs.append(rate)
        ours.append(epoch(CONFIG, "dagfm", [f"data.train={data.path}"])["training_rows_per_second"])
    print(f"training rows/s: {name} {max(theirs):,.0f}, dagfm's student on clicks {max(ours):,.0f}", end=" ")
    print(f"({max(ours) / max(theirs):.2f}x)", flush=True)
