"""Times the compiled kernel next to the reference's arithmetic and the core's peak: ``python benchmarks/kernel.py``."""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from networks import ReferenceDAGFM, Step, forward_step, in_turns, training_step

from dagfm.kernel.library import chosen_version
from dagfm.nn import compiled
from dagfm.nn.dagfm import DAGFM

_ROUNDS = 200_000


@contextlib.contextmanager
def peak_step() -> Iterator[tuple[Step, int]]:
    """A step of multiply-adds on registers, and how many it has."""
    source = Path(__file__).with_name("peak.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        compiler = [os.environ.get("CC", "cc"), "-O3", "-march=native", "-shared", "-fPIC"]
        subprocess.run([*compiler, str(source), "-o", str(library)], check=True)
        multiply_add = ctypes.CDLL(str(library)).multiply_add
        multiply_add.restype, multiply_add.argtypes = ctypes.c_int64, [ctypes.c_int64, ctypes.c_void_p]
        result = ctypes.c_float()

        def step() -> None:
            multiply_add(_ROUNDS, ctypes.addressof(result))

        yield step, _ROUNDS * multiply_add(1, ctypes.addressof(result))


def through_torch(step: Step) -> Step:
    """The same step with the kernel switched off."""

    def slower() -> None:
        takes, compiled.takes = compiled.takes, lambda *_: False
        try:
            step()
        finally:
            compiled.takes = takes

    return slower


def with_threads(step: Step, threads: int) -> Step:
    """The same step on so many threads."""

    def threaded() -> None:
        torch.set_num_threads(threads)
        step()
        torch.set_num_threads(1)

    return threaded


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each line of measurements")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fields, size, depth, rows = args.fields, args.size, args.depth, args.rows
    version = chosen_version()
    if version is None:
        raise SystemExit("the compiled kernel is not built or switched off")

    x = torch.randn(rows, fields, size, requires_grad=True)
    one = x[:1].detach()
    print(f"{rows} rows, {fields} fields, size {size}, depth {depth}, one thread, version {version}\n")
    print(f"{'':30}{'ms':>8}{'GFLOP/s':>9}{'peak':>7}{'share':>7}{'torch':>8}{'reference':>11}{'2 threads':>11}")
    with peak_step() as (peak, work):
        for message in ("inner", "outer"):
            reference = ReferenceDAGFM(fields, size, message, depth)
            for connect in ("none", "causal", "full"):
                ours = DAGFM(fields, size, message, depth, connect)
                for what, make, passes in (("forward", forward_step, 1), ("forward + backward", training_step, 3)):
                    step = make(ours, x)
                    steps = [step, through_torch(step), make(reference, x), with_threads(step, 2), peak]
                    mine, plain, theirs, two, most = in_turns(steps, args.seconds)
                    rate = 2e-6 * passes * ours.multiply_adds * rows / mine
                    most = 2e-6 * work / most
                    print(
                        f"{message} {connect:7}{what:17}{mine:8.2f}{rate:9.1f}{most:7.0f}{rate / most:7.0%}"
                        f"{plain / mine:7.1f}x{theirs / mine:10.1f}x{mine / two:10.2f}x"
                    )
                single, theirs = in_turns([forward_step(ours, one), forward_step(reference, one)], args.seconds / 4)
                print(
                    f"{message} {connect:7}one row, microseconds {1e3 * single:.1f}, reference {theirs / single:.0f}x"
                )


if __name__ == "__main__":
    main()
