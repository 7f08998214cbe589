"""Ours beside its rivals, each in a process of its own on one core: ``python benchmarks/rivals --data ml-1m.parquet``.

A rival whose package is missing is left out. Those on MovieLens 1M are compared with the served student of ``--run``,
a run of ``experiments/ml-1m/dagfm.yaml``, or of one that is trained in the same call.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

BENCHMARKS = Path(__file__).resolve().parents[1]
CONFIG = BENCHMARKS.parent / "experiments" / "ml-1m" / "dagfm.yaml"
RIVALS = {
    "onnx_runtime": ("onnxruntime", "onnx", "onnxscript"),
    "fuxictr_dcnv2": ("fuxictr", "ray", "sklearn", "h5py", "tqdm"),
    "vowpal_wabbit": ("vowpalwabbit",),
    "lightgbm_trees": ("lightgbm",),
    "catboost_trees": ("catboost",),
    "xlearn_ffm": ("xlearn",),
    "lightgbm_over_ffm": ("lightgbm", "xlearn"),
}
"""Modules here, and what they import; those after the first two score and train on MovieLens 1M."""
SIMULATED = ("onnx_runtime", "fuxictr_dcnv2")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def environment() -> dict[str, str]:
    """One thread, and this folder's neighbours as modules."""
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, **dict.fromkeys(THREADS, "1"), "PYTHONPATH": path}


def run_on(data: Path, folder: Path) -> Path:
    """A run of ours, trained now."""
    command = [sys.executable, "-m", "dagfm", "-q", "fit", str(CONFIG), "-o", str(folder / "run")]
    asked = ["--set", f"data.train={data.resolve()}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([*command, *asked], check=True, env=environment(), stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"a run of ours took {seconds:.0f} processor seconds, preparation and evaluation included", flush=True)
    return folder / "run"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="what experiments/ml-1m/build.py makes; without it, no such rivals")
    parser.add_argument("--run", type=Path, help="a run of experiments/ml-1m/dagfm.yaml on it; else one is trained")
    parser.add_argument("--only", nargs="+", choices=RIVALS, default=list(RIVALS))
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):  # some rivals take every core that they find
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    failed = []
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        run = options.run
        for name in options.only:
            print(f"\n== {name}", flush=True)
            missing = [package for package in RIVALS[name] if find_spec(package) is None]
            if missing:
                print(f"not installed: {', '.join(missing)}; pip install -r benchmarks/rivals/requirements.txt")
                continue
            asked: list[str] = []
            if name not in SIMULATED:
                if options.data is None:
                    print("left out: it needs --data")
                    continue
                run = run or run_on(options.data, Path(folder))
                asked = ["--data", str(options.data), "--run", str(run)]
            started = time.perf_counter()
            done = subprocess.run([sys.executable, "-m", f"rivals.{name}", *asked], env=environment(), check=False)
            print(f"({time.perf_counter() - started:.0f} s)", flush=True)
            failed += [name] if done.returncode else []
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
