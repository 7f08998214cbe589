"""Epochs of a network of ours on clicks, as a run trains it, and the same beside a rival's passes."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

from training import Silent

from dagfm.run.fit import fit
from rivals.movielens import CONFIG, MovieLens


def trained(config: Path, network: str | dict[str, Any], overrides: list[str], epochs: int = 1) -> dict[str, Any]:
    """What a run says of a network: ``training_rows_per_second`` (batches and look-up included, evaluation not),
    ``metrics``."""
    asked = ["phase=teacher_training", f"teacher={json.dumps(network)}", f"training.teacher_training.epochs={epochs}"]
    asked += [f"training.teacher_training.{key}" for key in ("evaluations_per_epoch=1", "ema=0")]
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        results = fit(config, Path(folder) / "run", overrides=[*asked, *overrides], progress=Silent()).results
    found: dict[str, Any] = results["models"][0]
    return found


def processor_rate(data: MovieLens) -> float:
    """Rows/s of processor time that our student's network trains on clicks, validation after each epoch included."""
    took = []
    for epochs in (1, 4):
        started = time.process_time()
        trained(CONFIG, "dagfm", [f"data.train={data.path}"], epochs)
        took.append(time.process_time() - started)
    return 3 * len(data.prepared.train) / (took[1] - took[0])


def beside(name: str, theirs: float, data: MovieLens) -> None:
    """Print a rival's training rows/s of processor time, and those of our student's network, measured now."""
    ours = processor_rate(data)
    print(f"training rows/s of processor time: {name} {theirs:,.0f}, our student {ours:,.0f} ({ours / theirs:.2f}x)")
