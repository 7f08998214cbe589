"""Times scoring from encoded rows to logits, look-up included: ``python benchmarks/scoring.py``.

Beside the kernel's one call: look-up in NumPy with the network in the kernel, and all of it in NumPy. Every figure is
the fastest of its turns, on one thread, Python included.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from networks import in_turns
from numpy.typing import NDArray

from dagfm.encoding.rows import Rows
from dagfm.encoding.spans import Spans
from dagfm.schema import Field, Schema
from dagfm.serving import forward
from dagfm.serving.encoded import EncodedScorer
from dagfm.serving.forward import Network, embed


def network_arrays(
    message: str, connect: str, fields: int, size: int, depth: int
) -> tuple[dict[str, Any], dict[str, NDArray[np.float32]]]:
    """Configuration and parameters of a drawn network, as a bundle has them."""
    draw, pairs = np.random.default_rng(0), fields * (fields + 1) // 2
    shapes = {"p": (depth, pairs, size), "head.weight": (1, fields * (depth + 1)), "head.bias": (1,)}
    if message == "outer":
        shapes["q"] = shapes["p"]
    if connect != "none":
        shapes["connect_layer"] = (pairs,) if connect == "causal" else (fields, fields)
    arrays = {name: (draw.normal(size=shape) / fields**0.5).astype(np.float32) for name, shape in shapes.items()}
    return {"type": message, "depth": depth, "connect": connect}, arrays


def network_of(message: str, connect: str, fields: int, size: int, depth: int) -> Network:
    """The network itself."""
    return Network(*network_arrays(message, connect, fields, size, depth), fields, size)


def plain(message: str, connect: str, fields: int, size: int, depth: int) -> Network:
    """The same network without the kernel."""
    available, forward.available = forward.available, lambda _: False
    try:
        return network_of(message, connect, fields, size, depth)
    finally:
        forward.available = available


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--ids", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--seconds", type=float, default=1.0, help="for each measurement")
    args = parser.parse_args()
    fields, each = args.fields, args.ids // args.fields
    draw = np.random.default_rng(0)
    schema = Schema(fields=tuple(Field(name=f"f{index}") for index in range(fields)))
    spans = Spans(np.arange(fields, dtype=np.int64) * each, np.full(fields, each, np.int64))
    table = draw.normal(size=(spans.total, args.size)).astype(np.float32)
    print(f"{fields} fields of {each} ids, size {args.size}, depth {args.depth}, one thread; microseconds\n")
    print(f"{'':14}{'rows':>6}{'ids to logits':>15}{'NumPy, kernel':>15}{'NumPy':>10}")
    for message in ("inner", "outer"):
        for connect in ("none", "causal", "full"):
            shape = (message, connect, fields, args.size, args.depth)
            network, slow = network_of(*shape), plain(*shape)
            scorer = EncodedScorer(network, table, schema, spans)
            for count in (1, 100, 1000):
                tokens = draw.integers(0, each, (count, fields)).astype(np.int32)
                rows = Rows(tokens, np.zeros((count, 0), np.float32), ())

                def looked_up(network: Network, rows: Rows = rows) -> None:
                    network.logits(embed(table, schema, spans, rows))

                steps = [partial(scorer.logits, rows), partial(looked_up, network), partial(looked_up, slow)]
                fused, mixed, without = (1e3 * one for one in in_turns(steps, args.seconds, min))
                print(f"{message} {connect:8}{count:6}{fused:15.1f}{mixed:14.1f} {without:9.0f}")


if __name__ == "__main__":
    main()
