"""Times the networks next to the reference's arithmetic: ``python benchmarks/networks.py --threads 1 --fields 7``."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dagfm.nn.cin import CIN
from dagfm.nn.crossnet import CrossNet
from dagfm.nn.dagfm import DAGFM

Step = Callable[[], object]


class ReferenceDAGFM(nn.Module):
    """Einsum over (B, F, D), weights square and masked in every pass."""

    def __init__(self, fields: int, size: int, type: str, depth: int) -> None:
        super().__init__()
        self.kind = type
        shape = (depth, fields, fields, size, size) if type == "kernel" else (depth, fields, fields, size)
        self.p = nn.Parameter(torch.randn(shape) / fields)
        self.q = nn.Parameter(torch.randn(shape) / fields)
        self.register_buffer(
            "mask", torch.triu(torch.ones(fields, fields)).view(fields, fields, *[1] * (len(shape) - 3))
        )
        self.connect_layer = nn.Parameter(torch.eye(fields))
        self.linear = nn.Linear(fields * (depth + 1), 1)

    def forward(self, x: Tensor) -> Tensor:
        h0 = h = self.connect_layer @ x
        sums = [h0.sum(-1)]
        for p, q in zip(self.p, self.q, strict=True):
            if self.kind == "inner":
                h = h0 * torch.einsum("bfd,fsd->bsd", h, p * self.mask)
            elif self.kind == "outer":
                h = h0 * torch.einsum("bfs,fsd->bsd", torch.einsum("bfd,fsd->bfs", h, p * self.mask), q)
            else:
                h = h0 * torch.einsum("bfe,fsde->bsd", h, p * self.mask)
            sums.append(h.sum(-1))
        return self.linear(torch.cat(sums, -1)).squeeze(1)


class ReferenceCrossNet(nn.Module):
    """A matrix times a column vector for every row of the batch."""

    def __init__(self, fields: int, size: int, depth: int) -> None:
        super().__init__()
        width = fields * size
        self.weight = nn.Parameter(torch.randn(depth, width, width) / width)
        self.bias = nn.Parameter(torch.zeros(depth, width, 1))
        self.linear = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = x0 = x.flatten(1).unsqueeze(2)
        for weight, bias in zip(self.weight, self.bias, strict=True):
            x = x0 * (torch.matmul(weight, x) + bias) + x
        return self.linear(x.squeeze(2)).squeeze(1)


class ReferenceCIN(nn.Module):
    """Conv1d over the outer product of every row."""

    def __init__(self, fields: int, cin: tuple[int, ...]) -> None:
        super().__init__()
        heights = zip((fields, *cin[:-1]), cin, strict=True)
        self.convolutions = nn.ModuleList(nn.Conv1d(previous * fields, height, 1) for previous, height in heights)
        self.linear = nn.Parameter(torch.randn(sum(cin)) / 100)

    def forward(self, x: Tensor) -> Tensor:
        base, sums = x, []
        for convolution in self.convolutions:
            x = convolution((x[:, :, None, :] * base[:, None, :, :]).flatten(1, 2))
            sums.append(x.sum(-1))
        return torch.cat(sums, -1) @ self.linear


def forward_step(network: nn.Module, x: Tensor) -> Step:
    """A pass without gradients."""

    def step() -> None:
        with torch.no_grad():
            network(x)

    return step


def training_step(network: nn.Module, x: Tensor) -> Step:
    """Forward and backward, to all parameters and, where it asks for one, to the input."""

    def step() -> None:
        network.zero_grad()
        x.grad = None
        network(x).square().mean().backward()

    return step


def in_turns(
    steps: list[Step],
    seconds: float,
    of: Callable[[list[float]], float] = statistics.median,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median milliseconds of each step, the steps taken one after the other until ``seconds`` are over.

    ``of``: what stands for all of a step's times instead; ``min`` where others use the machine, too. ``clock``:
    ``time.process_time`` where steps differ so much in length that a busy machine interrupts the long ones alone.
    """
    for step in steps:
        step()
    times: list[list[float]] = [[] for _ in steps]
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 3:
        for step, taken in zip(steps, times, strict=True):
            start = clock()
            step()
            taken.append((clock() - start) * 1e3)
    return [of(taken) for taken in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--fields", type=int, default=7)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--cin", type=int, nargs="+", default=[64, 64, 64])
    parser.add_argument("--seconds", type=float, default=2.0, help="for each pair of measurements")
    parser.add_argument("--input-gradient", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    fields, size, depth, cin = args.fields, args.size, args.depth, tuple(args.cin)

    x = torch.randn(args.rows, fields, size, requires_grad=args.input_gradient)
    pairs: dict[str, tuple[nn.Module, nn.Module]] = {
        f"dagfm {type}": (DAGFM(fields, size, type, depth, "full"), ReferenceDAGFM(fields, size, type, depth))
        for type in ("inner", "outer", "kernel")
    }
    pairs["crossnet"] = CrossNet(fields, size, depth), ReferenceCrossNet(fields, size, depth)
    pairs["cin"] = CIN(fields, size, cin), ReferenceCIN(fields, cin)

    square = torch.randn(1024, 1024)
    peak = 2 * 1024**3 / in_turns([lambda: square @ square], 1.0)[0] / 1e6
    print(f"{args.rows} rows, {fields} fields, size {size}, depth {depth}, cin {cin}, {args.threads} thread(s)")
    print(f"matrix product of 1024 x 1024: {peak:.0f} GFLOP/s\n")
    print(f"{'':14}{'forward ms':>12}{'reference':>11}{'of peak':>9}{'training ms':>14}{'reference':>11}{'of peak':>9}")
    for name, (ours, reference) in pairs.items():
        line = f"{name:14}"
        # A backward pass is two products for each of the forward pass; one less where the input needs no gradient.
        for make, passes, width in ((forward_step, 1, 12), (training_step, 3, 14)):
            mine, theirs = in_turns([make(ours, x), make(reference, x)], args.seconds)
            share = 2 * passes * ours.multiply_adds * args.rows / mine / 1e6 / peak
            line += f"{mine:{width}.2f}{theirs / mine:>10.1f}x{share:>9.2f}"
        print(line)


if __name__ == "__main__":
    main()
