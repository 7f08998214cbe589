"""Times the compiled kernel next to the reference's arithmetic and the core's peak: ``python benchmarks/kernel.py``.

Every figure is the fastest of a step's turns: the peak's, too, so that a busy machine leaves the shares alone.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from networks import ReferenceDAGFM, Step, forward_step, in_turns, training_step

from dagfm.kernel.calls import Floats, Terms, Weights, descend, forward
from dagfm.kernel.library import chosen_version
from dagfm.nn import compiled
from dagfm.nn.dagfm import DAGFM
from dagfm.training.allocator import keep_freed_memory

_ROUNDS = 200_000


@contextlib.contextmanager
def peak_steps() -> Iterator[tuple[Step, Step, int]]:
    """A step of multiply-adds on registers, the same in two threads, and how many they have."""
    source = Path(__file__).with_name("peak.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "peak.so"
        compiler = [os.environ.get("CC", "cc"), "-O3", "-march=native", "-shared", "-fPIC", "-pthread"]
        subprocess.run([*compiler, str(source), "-o", str(library)], check=True)
        opened, result = ctypes.CDLL(str(library)), ctypes.c_float()
        opened.multiply_add.restype, opened.multiply_add_in_two.restype = ctypes.c_int64, None
        for function in (opened.multiply_add, opened.multiply_add_in_two):
            function.argtypes = [ctypes.c_int64, ctypes.c_void_p]
        alone, in_two = (
            lambda function=function: function(_ROUNDS, ctypes.addressof(result))
            for function in (opened.multiply_add, opened.multiply_add_in_two)
        )
        yield alone, in_two, _ROUNDS * opened.multiply_add(1, ctypes.addressof(result))


def through_torch(step: Step) -> Step:
    """The same step with the kernel switched off."""

    def slower() -> None:
        takes, compiled.takes = compiled.takes, lambda *_: False
        try:
            step()
        finally:
            compiled.takes = takes

    return slower


def weights_of(network: DAGFM) -> Weights:
    """The network's parameters as the scorer holds them."""
    found = {name: value.detach().numpy() for name, value in network.named_parameters()}
    below = found["p"], network.fields, found.get("q"), found.get("connect_layer")
    return Weights(network.message, network.connect, *below, found["head.weight"], found["head.bias"])


def both_ways(weights: Weights, x: Floats, terms: Terms, threads: int) -> Step:
    """To a loss and all its gradients in the kernel alone."""

    def step() -> None:
        descend(weights, x, terms, threads)

    return step


def loss_step(network: DAGFM, x: torch.Tensor, terms: Terms) -> Step:
    """To a loss and all its gradients as training goes there."""

    def step() -> None:
        network.zero_grad()
        x.grad = None
        network.loss(x, terms).backward()  # type: ignore[no-untyped-call]

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    args = parser.parse_args()
    keep_freed_memory()  # as the trainer does
    torch.set_num_threads(1)
    torch.manual_seed(0)
    fields, size, depth, rows = args.fields, args.size, args.depth, args.rows
    version = chosen_version()
    if version is None:
        raise SystemExit("the compiled kernel is not built or switched off")

    x = torch.randn(rows, fields, size, requires_grad=True)
    rows_of_x = x.detach().numpy()
    even = np.full(rows, 1 / rows, np.float32)
    terms = Terms(np.zeros(rows, np.float32), even, np.ones(rows, np.float32), even)
    print(f"{rows} rows, {fields} fields, size {size}, depth {depth}, one thread, version {version}\n")
    print(f"{'':30}{'ms':>8}{'GFLOP/s':>9}{'peak':>7}{'share':>7}{'torch':>8}{'reference':>11}")
    with peak_steps() as (peak, peak_in_two, work):
        for message in ("inner", "outer"):
            reference = ReferenceDAGFM(fields, size, message, depth)
            for connect in ("none", "causal", "full"):
                ours = DAGFM(fields, size, message, depth, connect)
                for what, step, make, passes in (
                    ("forward", forward_step(ours, x), forward_step, 1),
                    ("forward + backward", loss_step(ours, x, terms), training_step, 3),
                ):
                    mine, most = in_turns([step, peak], args.seconds, min)
                    rivals = [through_torch(make(ours, x)), make(reference, x)]
                    again, plain, theirs = in_turns([step, *rivals], args.seconds, min)
                    rate, most = 2e-6 * passes * ours.multiply_adds * rows / mine, 2e-6 * work / most
                    print(
                        f"{message} {connect:7}{what:19}{mine:7.2f}{rate:9.1f}{most:7.0f}{rate / most:7.0%}"
                        f"{plain / again:7.1f}x{theirs / again:10.1f}x"
                    )
                weights = weights_of(ours)
                steps = [both_ways(weights, rows_of_x, terms, threads) for threads in (1, 2)]
                single, double, alone, in_two = in_turns([*steps, peak, peak_in_two], args.seconds, min)
                one = in_turns([lambda weights=weights: forward(weights, rows_of_x[:1])], args.seconds / 4, min)[0]
                print(
                    f"{'':14}one row {1e3 * one:.1f} microseconds; two threads {single / double:.2f}x,"
                    f" registers alone {alone / in_two:.2f}x"
                )


if __name__ == "__main__":
    main()
