"""Sizes, figures and speed of a bundle's weights side by side: ``python benchmarks/small_bundles.py [RUN]``.

The bundle of a run on the rows that it held back, or a drawn one of many ids on drawn rows. Each kind is written as
``dagfm export --weights`` writes it; shares are of the bundle as it was. Times are of encoded rows to logits and of a
load until it scores, one thread, in turns, the fastest.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("POLARS_MAX_THREADS", "1")

import numpy as np
from patches import drawn as drawn_bundle
from scoring import microseconds

from dagfm.run.held_back import held_back
from dagfm.serving.bundle import bundle_in, write_bundle
from dagfm.serving.comparison import compared
from dagfm.serving.drawn import drawn
from dagfm.serving.scorer import load
from dagfm.serving.smaller import export

CASES = {
    "float32": ("float32", True),
    "float16": ("float16", True),
    "float16, embedding": ("float16", False),
    "int8, embedding": ("int8", False),
    "int8": ("int8", True),
}
COUNTS = (1, 100, 1000)


def started(bundle: Path) -> None:
    load(bundle).warm_up()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, nargs="?", help="run whose bundle and held-back rows are taken")
    parser.add_argument("--ids", type=int, default=1_000_000, help="of the drawn bundle")
    parser.add_argument("--fields", type=int, default=10)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    args = parser.parse_args()
    with TemporaryDirectory() as folder:
        top = Path(folder)
        if args.run is None:
            whole = top / "whole"
            write_bundle(whole, drawn_bundle(args.ids, args.fields, args.size))
        else:
            whole = bundle_in(args.run)
        before = load(whole)
        sample = held_back(whole, before.bundle.encoder)
        rows = drawn(before.bundle, max(COUNTS)) if sample is None else sample.rows
        places = {}
        print(f"{'weights':20}{'table kB':>11}{'share':>8}{'bundle kB':>11}{'share':>8}{'no indexes':>12}", end="")
        print(f"{'AUC':>10}{'difference':>12}{'logloss':>9}{'difference':>12}{'probabilities':>15}")
        for name, (kind, network) in CASES.items():
            places[name] = top / name
            settings = {"embedding_only": not network, "sample": sample, "allowed": 1.0}
            done = export(whole, places[name], kind, **settings)
            bare = export(whole, top / "bare", kind, indexes=False, **settings)
            (old, new), found = done.sizes, done.comparison.measured
            print(f"{name:20}{new['embedding'] / 1e3:11,.1f}{new['embedding'] / old['embedding']:8.1%}", end="")
            print(f"{new['bundle'] / 1e3:11,.1f}{new['bundle'] / old['bundle']:8.1%}", end="")
            print(f"{bare.sizes[1]['bundle'] / old['bundle']:12.1%}", end="")
            if found is None:
                print(" " * 43, end="")
            else:
                print(f"{found.after.auc:10.5f}{found.auc.mean:+12.6f}", end="")
                print(f"{found.after.logloss:9.5f}{found.logloss.mean:+12.6f}", end="")
            print(f"{compared(before, load(places[name]), rows.take(np.arange(max(COUNTS)))).largest:15.2g}")
        print(f"as it was: table {old['embedding'] / 1e3:,.1f} kB, bundle {old['bundle'] / 1e3:,.1f} kB")
        print(f"\n{'rows to logits':20}" + "".join(f"{name:>20}" for name in CASES))
        scorers = [load(place) for place in places.values()]
        for count in COUNTS:
            some = rows.take(np.arange(count))
            found = microseconds([partial(scorer.score_encoded, some) for scorer in scorers], args)
            print(f"{f'{count} rows, us':20}" + "".join(f"{one:12.1f} {one / found[0]:6.2f}x" for one in found))
        told = {"as it was": whole, "int8": places["int8"], "int8, no indexes": top / "bare"}
        found = microseconds([partial(started, place) for place in told.values()], args)
        print("loaded, ms: " + "; ".join(f"{name} {one / 1e3:.1f}" for name, one in zip(told, found, strict=True)))


if __name__ == "__main__":
    main()
