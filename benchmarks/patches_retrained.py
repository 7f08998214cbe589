"""The patch after a day's retraining: ``python benchmarks/patches_retrained.py`` (a minute).

A simulated log, a run on its first 99 %, and the student finetuned further from there on all of it: ids are new, counts
and order have changed, and every row that a batch looked up has moved.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")

import polars as pl
import yaml
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.serving import patches

PHASE = {"epochs": 1, "updated_rows": "looked_up"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="of the log; four fifths train")
    parser.add_argument("--ids", type=int, default=100_000)
    args = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        simulate = ["--rows", str(args.rows), "--fields", "8", "--ids", str(args.ids), "-o", str(folder / "sim")]
        assert CliRunner().invoke(app, ["data", "simulate", *simulate]).exit_code == 0
        rows = pl.read_parquet(folder / "sim" / "clicks-*.parquet")
        train, tenth = int(0.8 * len(rows)), len(rows) // 10
        parts = {"monday": rows[: int(0.99 * train)], "tuesday": rows[:train]}
        parts |= {"valid": rows[train : train + tenth], "test": rows[train + tenth :]}
        for part, some in parts.items():
            some.write_parquet(folder / f"{part}.parquet")
        given = yaml.safe_load((folder / "sim" / "dagfm.yaml").read_text())
        runs = {}
        for day in ("monday", "tuesday"):
            config = {
                "data": {"train": f"{day}.parquet", "valid": "valid.parquet", "test": "test.parquet", "label": "click"},
                "fields": given["fields"],
                "embedding": {"size": 16},
                "teacher": {"network": "crossnet"},
                "training": dict.fromkeys(("teacher_training", "distillation", "finetuning"), PHASE),
            }
            if runs:
                config |= {"phase": "finetuning", "warm_up": str(runs["monday"])}
            (folder / f"{day}.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
            runs[day] = folder / day
            dagfm.fit(folder / f"{day}.yaml", runs[day])
        found = patches.make(runs["monday"], runs["tuesday"], folder / "patch")
        portable = patches.make(runs["monday"], runs["tuesday"], folder / "patch", portable=True)
        print(
            f"bundle {found.bundle / 1e6:.2f} MB, patch {found.size / 1e6:.2f} MB, {found.size / found.bundle:.1%}; "
            f"portable {portable.size / found.bundle:.1%}"
        )


if __name__ == "__main__":
    main()
