"""Keeps what a finished run says of itself in an experiment's folder: results, environment and the table.

python experiments/record.py runs/ml-100k experiments/ml-100k
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from dagfm.report.frontier import advice
from dagfm.report.table import markdown, verdict


def record(run: Path, folder: Path) -> None:
    """Copy results.json and environment.json of ``run`` to ``folder`` and write table.md from them."""
    shutil.copyfile(run / "environment.json", folder / "environment.json")
    results = json.loads((run / "results.json").read_text())
    # Of a run that others were taken over from, its name: where it lies is nobody's business.
    for told in [*results["reused"], *(model["reused"] for model in results["models"] if "reused" in model)]:
        told["run"] = Path(told["run"]).name
    (folder / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    told = [*verdict(results), *([said.removeprefix("+ ")] if (said := advice(results)) else [])]
    lines = [markdown(results), "", *(f"- {sentence}" for sentence in told)]
    (folder / "table.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    record(Path(sys.argv[1]), Path(sys.argv[2]))
