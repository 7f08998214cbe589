"""What does a row of distillation cost beside a row of training on clicks, for the same student?

    python benchmarks/distillation.py --data data/ml-100k --epochs 6 --rounds 3

The teacher's logits are written once, before; then the student is distilled from them, without and with a recombined
row beside each row, and trained on the clicks, in turns, every time anew. Goal: a row of distillation takes at most 1.3
times as long as a row of clicks.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from training import CONFIG, Silent

from dagfm.run.fit import fit

RECOMBINED = {"distillation": 0.0, "distillation, recombined rows": 1.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data/ml-100k"), help="ml-100k.inter and its tables")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    folder = options.data.resolve()
    phases = ("teacher_training", "distillation", "finetuning", "scratch")
    overrides = [
        f"data.train={folder / 'ml-100k.inter'}",
        f"data.tables.user_id={folder / 'ml-100k.user'}",
        f"data.tables.item_id={folder / 'ml-100k.item'}",
        "teacher=crossnet",
        *(f"training.{phase}.patience={options.epochs}" for phase in phases),
        *(f"training.{phase}.ema=0" for phase in phases),
        "training.teacher_training.epochs=1",
        f"training.distillation.epochs={options.epochs}",
        "training.finetuning.epochs=1",
        f"training.scratch.epochs={options.epochs}",
        "training.scratch.decay=0.001",
        "training.scratch.dropout=0.0",
    ]
    seconds: dict[str, list[float]] = {}
    rows: dict[str, float] = {}
    with tempfile.TemporaryDirectory(prefix="distillation-") as scratch:
        for _ in range(options.rounds):
            for name, share in RECOMBINED.items():
                run = Path(scratch) / f"run-{share:g}"
                for done in ("distillation", "finetuning", "baselines"):
                    shutil.rmtree(run / done, ignore_errors=True)
                asked = [*overrides, f"distillation.recombined={share}"]
                results = fit(CONFIG, run, overrides=asked, baselines=["scratch"], progress=Silent()).results
                took = {model["phase"]: model["training_seconds"] for model in results["models"]}
                seconds.setdefault(name, []).append(took["distillation"])
                seconds.setdefault("clicks", []).append(took["scratch"])
                rows[name] = results["rows"]["train"] * options.epochs * (1 + share)
                rows["clicks"] = results["rows"]["train"] * options.epochs
    speed = {name: rows[name] / statistics.median(times) for name, times in seconds.items()}
    print(f"{'':32}{'rows/s':>12}{'a row, of clicks':>18}")
    for name in ("clicks", *RECOMBINED):
        print(f"{name:32}{speed[name]:12,.0f}{speed['clicks'] / speed[name]:18.2f}")


if __name__ == "__main__":
    main()
