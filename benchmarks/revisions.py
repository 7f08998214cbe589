"""A whole run by an earlier commit and by this checkout: ``python benchmarks/revisions.py COMMIT --data FILE``.

Both run ``dagfm fit experiments/ml-1m/dagfm.yaml`` from nothing, one thread each, at the same time, each on a processor
of its own, so that whatever else the machine does slows both. Compared is processor time, which includes preparation,
evaluation and the report. ``--seeds N`` gives the mean AUC of N seeds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
CONFIG = HERE / "experiments/ml-1m/dagfm.yaml"


@dataclass(frozen=True)
class Figures:
    """What one side came to."""

    seconds: float
    """Of the processor."""
    megabytes: int
    auc: float
    """Of the served student on test rows, the mean over seeds."""


def built(checkout: Path) -> Path:
    """The sources of a checkout, its extension compiled in place where it has one."""
    if (checkout / "setup.py").exists():
        subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=checkout, check=True)
    return checkout / "src"


def started(source: Path, folder: Path, processor: int, data: Path, seeds: int) -> subprocess.Popen[bytes]:
    """A run in ``folder``, which holds nothing yet."""
    folder.mkdir()
    (folder / CONFIG.name).write_bytes(CONFIG.read_bytes())
    one = {"PYTHONPATH": str(source), "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    command = ["taskset", "-c", str(processor), sys.executable, "-m", "dagfm", "--quiet", "fit", CONFIG.name]
    options = ["-o", "run", "--seeds", str(seeds), "--set", f"data.train={data.resolve()}"]
    return subprocess.Popen([*command, *options], cwd=folder, env=os.environ | one, stdout=subprocess.DEVNULL)


def figures(folder: Path, usage: os.struct_rusage) -> Figures:
    """What the run in ``folder`` used and found."""
    results = json.loads((folder / "run/results.json").read_bytes())
    served = results["served"]
    aucs = [
        model["metrics"]["test"]["auc"]
        for model in results["models"]
        if (model["name"], model["phase"]) == (served["name"], served["phase"])
    ]
    return Figures(usage.ru_utime + usage.ru_stime, usage.ru_maxrss >> 10, sum(aucs) / len(aucs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("before", help="commit to compare with")
    parser.add_argument("--data", type=Path, required=True, help="what experiments/ml-1m/build.py makes")
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise SystemExit("two processors are needed, one for each side")
    with tempfile.TemporaryDirectory() as made:
        before, found = Path(made) / "before", {}
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(before), args.before], cwd=HERE, check=True)
        try:
            sides = {args.before: built(before), "this checkout": built(HERE)}
            running = {}
            for number, (name, source) in enumerate(sides.items()):
                folder = Path(made) / f"run-{number}"
                run = started(source, folder, processors[number], args.data, args.seeds)
                running[run.pid] = name, folder
            while running:
                process, status, usage = os.wait4(-1, 0)
                name, folder = running.pop(process)
                if status:
                    raise SystemExit(f"{name} failed")
                found[name] = figures(folder, usage)
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=HERE, check=True)
    for name, one in found.items():
        print(f"{name:14}{one.seconds:8.1f} s of processor time, {one.megabytes} MB, AUC {one.auc:.5f}")
    print(f"{found[args.before].seconds / found['this checkout'].seconds:.2f} times as fast")


if __name__ == "__main__":
    main()
