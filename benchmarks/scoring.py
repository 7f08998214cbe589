"""Times the scorer, Python included, on one thread:
``OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 python benchmarks/scoring.py``.

``encoded``: from encoded rows to logits, beside look-up in NumPy with the network in the kernel, and NumPy alone.
``raw``: from raw rows of strings to probabilities, beside the encoder without the kernel. ``rank``: one context and
many candidates; as multiples of it the same rows whole, encoded or raw in the candidates' own form, and the reference's
eager arithmetic on embeddings. ``explain``: rows of strings to explanations, without and with the strongest paths, in
processor time. ``start``: a bundle is loaded. Every figure is the fastest of its turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from networks import ReferenceDAGFM, in_turns
from numpy.typing import NDArray

from dagfm.encoding.encoder import Encoder
from dagfm.encoding.frames import to_frame
from dagfm.encoding.rows import Rows
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.metrics import sigmoid
from dagfm.schema import Field, Schema
from dagfm.serving import forward
from dagfm.serving.bundle import Bundle, write_bundle
from dagfm.serving.forward import Network, embed
from dagfm.serving.scorer import Scorer, load

Step = Callable[[], object]
COUNTS = (1, 100, 1000)


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


class Model:
    """A drawn scorer of string fields of which the last are the candidate's."""

    def __init__(self, message: str, connect: str, args: argparse.Namespace) -> None:
        self.fields, self.size, self.depth = args.fields, args.size, args.depth
        self.each, self.context = args.ids // args.fields, args.fields - args.candidate
        draw = np.random.default_rng(0)
        side = ["context"] * self.context + ["candidate"] * args.candidate
        schema = Schema(fields=tuple(Field(name=f"f{node}", side=side[node]) for node in range(args.fields)))
        self.tokens = [f"{number * 2654435761 % 2**32:08x}" for number in range(self.each)]
        vocabulary = Vocabulary(pl.Series(self.tokens), pl.Series(np.ones(self.each, np.int64)))
        self.encoder = Encoder(schema, dict.fromkeys(schema.names, vocabulary))
        self.network, self.own = network_arrays(message, connect, self.fields, self.size, self.depth)
        self.table = draw.normal(size=(self.encoder.spans.total, self.size)).astype(np.float32) / 6
        arrays = {"embedding.weight": self.table, **{f"network.{name}": value for name, value in self.own.items()}}
        self.scorer = Scorer(Bundle(self.encoder, self.network, arrays, {"scale": 1.0, "shift": 0.0}, {}))
        self.draw = draw

    def raw(self, count: int) -> pl.DataFrame:
        """Rows of strings."""
        ids = self.draw.integers(0, self.each, (self.fields, count))
        return pl.DataFrame({f"f{node}": [self.tokens[one] for one in ids[node]] for node in range(self.fields)})

    def plain(self, kernel: bool) -> Callable[[Rows], object]:
        """Encoded rows to logits, look-up in NumPy, the network in the kernel or in NumPy."""
        available = forward.available
        if not kernel:
            forward.available = lambda _: False
        network = Network(self.network, self.own, self.fields, self.size)
        forward.available = available
        schema, spans = self.encoder.schema, self.encoder.spans
        return lambda rows: network.logits(embed(self.table, schema, spans, rows))


def microseconds(steps: list[Step], args: argparse.Namespace) -> list[float]:
    """Of each step; it is repeated for 10 ms within a turn, as a server that is busy with it finds its caches."""
    counts = []
    for step in steps:
        step()
        start = time.perf_counter()
        step()
        counts.append(1 + int(10e-3 / (time.perf_counter() - start)))

    def repeated(step: Step, count: int) -> None:
        for _ in range(count):
            step()

    turns = [partial(repeated, step, count) for step, count in zip(steps, counts, strict=True)]
    return [1e3 * one / count for one, count in zip(in_turns(turns, args.seconds, min), counts, strict=True)]


def processor_seconds(step: Step, args: argparse.Namespace) -> float:
    """Of a step that takes long enough for the machine to be busy with others in between."""
    found, until = [], time.monotonic() + args.seconds
    while len(found) < 2 or time.monotonic() < until:
        start = time.process_time()
        step()
        found.append(time.process_time() - start)
    return min(found)


def encoded(args: argparse.Namespace) -> None:
    print(f"{'encoded rows to logits':24}{'rows':>6}{'in one call':>13}{'NumPy, kernel':>15}{'NumPy':>10}")
    for message in ("inner", "outer"):
        for connect in ("none", "causal", "full"):
            model = Model(message, connect, args)
            mixed, plain = model.plain(kernel=True), model.plain(kernel=False)
            for count in COUNTS:
                rows = model.scorer.encode(model.raw(count))
                steps = [partial(step, rows) for step in (model.scorer.score_encoded, mixed, plain)]
                ours, half, none = microseconds(steps, args)
                print(f"{message} {connect:18}{count:6}{ours:13.1f}{half / ours:14.1f}x{none / ours:9.1f}x")


def raw(args: argparse.Namespace) -> None:
    model = Model("inner", "none", args)
    print(f"\n{'raw rows':24}{'rows':>6}{'predict':>13}{'encoding':>10}{'plain':>9}{'M cells/s':>11}")
    for name in ("dicts", "polars", "pandas"):
        for count in COUNTS:
            frame = model.raw(count)
            rows = {"dicts": frame.to_dicts, "polars": lambda frame=frame: frame, "pandas": frame.to_pandas}[name]()

            def without(rows: object = rows) -> object:
                return model.encoder.encode(to_frame(rows))

            steps = [partial(model.scorer.predict, rows), partial(model.scorer.encode, rows), without]
            whole, encoding, plain = microseconds(steps, args)
            rate = count * args.fields / encoding
            print(f"{name:24}{count:6}{whole:13.1f}{encoding:10.1f}{plain / encoding:8.1f}x{rate:11.1f}")


def rank(args: argparse.Namespace) -> None:
    """Whole rows are timed in the form that the candidates come in."""
    count = args.candidates
    print(f"\n{'rank':14}{'handles':>9}{'raw context':>13}{'raw table':>11}{'raw dicts':>11}", end="")
    print(f"{'rows, encoded':>15}{'raw table':>11}{'raw dicts':>11}{'reference':>11}")
    for message, connect in (("inner", "none"), ("inner", "causal"), ("outer", "none"), ("outer", "causal")):
        model = Model(message, connect, args)
        scorer, frame = model.scorer, model.raw(count)
        context = frame.row(0, named=True)
        whole = frame.with_columns(pl.lit(context[f"f{node}"]).alias(f"f{node}") for node in range(model.context))
        candidates = frame.select(f"f{node}" for node in range(model.context, model.fields))
        catalogue, person, rows = scorer.candidates(candidates), scorer.context(context), scorer.encode(whole)
        own = {f"f{node}": context[f"f{node}"] for node in range(model.context)}
        reference = ReferenceDAGFM(model.fields, model.size, message, model.depth)
        x = torch.from_numpy(embed(model.table, model.encoder.schema, model.encoder.spans, rows))

        def eager(reference: torch.nn.Module = reference, x: torch.Tensor = x) -> None:
            with torch.inference_mode():
                reference(x)

        def encoded_rows(scorer: Scorer = scorer, rows: Rows = rows) -> object:
            return sigmoid(scorer.score_encoded(rows)).astype(np.float32)

        steps = [
            partial(scorer.rank, person, catalogue),
            partial(scorer.rank, own, catalogue),
            partial(scorer.rank, own, candidates),
            partial(scorer.rank, own, candidates.to_dicts()),
            encoded_rows,
            partial(scorer.predict, whole),
            partial(scorer.predict, whole.to_dicts()),
            eager,
        ]
        kept, fresh, table, dicts, encoded, whole_table, whole_dicts, plain = microseconds(steps, args)
        print(f"{message + ' ' + connect:14}{kept:9.1f}{fresh:13.1f}{table:11.1f}{dicts:11.1f}", end="")
        print(f"{encoded / kept:14.1f}x{whole_table / table:10.1f}x{whole_dicts / dicts:10.1f}x{plain / kept:10.1f}x")


def explain(args: argparse.Namespace) -> None:
    print(f"\n{'explain, milliseconds':24}{'rows':>6}{'no paths':>12}{'10 paths':>12}{'100 paths':>12}")
    for message, connect in (("inner", "causal"), ("outer", "causal")):
        model = Model(message, connect, args)
        for count in COUNTS:
            rows = model.raw(count)
            steps = [partial(model.scorer.explain, rows, paths) for paths in (0, 10, 100)]
            found = "".join(f"{1e3 * processor_seconds(step, args):12.1f}" for step in steps)
            print(f"{message} {connect:18}{count:6}{found}")


def start(args: argparse.Namespace) -> None:
    model = Model("inner", "none", args)
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        write_bundle(bundle, model.scorer.bundle)
        (found,) = microseconds([partial(load, bundle)], args)
    print(f"\nloading a bundle of {args.ids} ids: {found / 1e6:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--candidate", type=int, default=10, help="fields of the candidate")
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--depth", type=int, default=3)
    parser.add_argument("--ids", type=int, default=1_000_000, help="rows of the table")
    parser.add_argument("--seconds", type=float, default=2.0, help="for each measurement")
    parser.add_argument("--only", choices=("encoded", "raw", "rank", "explain", "start"))
    args = parser.parse_args()
    torch.set_num_threads(1)  # and OMP_NUM_THREADS=1 POLARS_MAX_THREADS=1 for the others, who read them at their start
    print(f"{args.fields} fields, {args.ids} ids, size {args.size}, depth {args.depth}, one thread; microseconds\n")
    for part in (encoded, raw, rank, explain, start):
        if args.only in (None, part.__name__):
            part(args)


if __name__ == "__main__":
    main()
