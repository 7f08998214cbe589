"""What do a look-up and a step of the embedding table cost, beside torch's and fbgemm's, and as the table grows?

    python benchmarks/embedding.py
    python benchmarks/embedding.py --tables 1000000 --threads 2

Goals, one thread, 39 fields, batch 4096, D 16: row-wise Adagrad at most 1.5 times, and Adam at most 2.5 times, as long
as fbgemm's fused row-wise Adagrad; at most 1.3 times as long a different row in a table of 10,000,000 as of 1,000,000.
fbgemm is measured where it is installed (``pip install --no-deps fbgemm-gpu-cpu==1.8.0`` is for torch 2.13). Not a
goal: a table that is not much larger than a batch, where torch's Adam over all of it is as fast.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from importlib import import_module

import numpy as np
import torch
from networks import Step, in_turns
from torch import nn

from dagfm.nn.batch import Batch
from dagfm.training.allocator import keep_freed_memory
from dagfm.training.averaging import WeightAverage
from dagfm.training.table_rows import CompiledRows

SETS = 48
"""Batches that take turns: as many different rows as an epoch of a small log has."""


class Ids:
    """The ids of some batches, as popular as ids are, spread over however many rows a field has."""

    def __init__(self, fields: int, rows: int, table: int) -> None:
        self.fields, self.per_field = fields, table // fields
        random = np.random.default_rng(0)
        drawn = random.zipf(1.2, (SETS, rows, fields)) * 7919 % self.per_field
        self.by_field = [torch.from_numpy(np.ascontiguousarray(one.T).ravel()) for one in drawn]
        shifted = drawn + np.arange(fields) * self.per_field
        self.flat = [torch.from_numpy(np.ascontiguousarray(one).ravel()) for one in shifted]
        self.different = float(np.mean([len(np.unique(one)) for one in shifted]))


def ours(ids: Ids, size: int, rule: str, averaged: bool = False) -> Step:
    """A look-up and a step in the kernel, as training makes them."""
    model = nn.Module()
    model.embedding = nn.Module()
    model.embedding.weight = nn.Parameter(torch.from_numpy(np.zeros((ids.fields * ids.per_field, size), np.float32)))
    rows = CompiledRows(model.embedding.weight, rule, 1e-4)
    average = WeightAverage(model, 0.999) if averaged else None  # type: ignore[arg-type]
    grad, offsets, turn = torch.randn(len(ids.flat[0]), size), torch.arange(len(ids.flat[0]) + 1), iter(range(10**9))

    def step() -> None:
        batch = rows.opened(Batch(ids.flat[next(turn) % SETS], offsets, None, None))
        assert batch.pooled is not None
        batch.pooled.grad = grad
        rows.step(1e-3, average)
        if average is not None:
            average.steps += 1

    return step


def torchs(ids: Ids, size: int, sparse: bool) -> Step:
    """torch's own table under its own optimizer: Adam over all rows, or SparseAdam."""
    table = nn.Embedding(ids.fields * ids.per_field, size, sparse=sparse)
    optimizer = (torch.optim.SparseAdam if sparse else torch.optim.Adam)(list(table.parameters()))
    grad, turn = torch.randn(len(ids.flat[0]), size), iter(range(10**9))

    def step() -> None:
        table(ids.flat[next(turn) % SETS]).backward(grad)
        optimizer.step()
        optimizer.zero_grad()

    return step


def fbgemms(ids: Ids, size: int) -> Step:
    """fbgemm's table with its fused row-wise Adagrad."""
    import_module("fbgemm_gpu")
    of = import_module("fbgemm_gpu.split_table_batched_embeddings_ops_training")
    rule = import_module("fbgemm_gpu.split_embedding_configs").EmbOptimType.EXACT_ROWWISE_ADAGRAD
    host = import_module("fbgemm_gpu.split_table_batched_embeddings_ops_common").EmbeddingLocation.HOST
    tables = [(ids.per_field, size, host, of.ComputeDevice.CPU)] * ids.fields
    table = of.SplitTableBatchedEmbeddingBagsCodegen(tables, optimizer=rule)
    count, turn = len(ids.flat[0]), iter(range(10**9))
    offsets, grad = torch.arange(count + 1), torch.randn(count // ids.fields, ids.fields * size)

    def step() -> None:
        table(ids.by_field[next(turn) % SETS], offsets).backward(grad)

    return step


def main() -> None:
    """Print a line for each table and optimizer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--size", type=int, default=16)
    parser.add_argument("--tables", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--seconds", type=float, default=5.0, help="for each table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    rival = importlib.util.find_spec("fbgemm_gpu") is not None
    if not rival:
        print("fbgemm_gpu is not installed: pip install --no-deps fbgemm-gpu-cpu==1.8.0")
    print(f"{options.fields} fields, batch {options.rows}, D {options.size}, {options.threads} thread(s)")
    print("| table rows | optimizer | ms | ns a different row | of fbgemm |")
    print("|---|---|---|---|---|")
    for table in options.tables:
        ids = Ids(options.fields, options.rows, table)
        steps = {
            "row-wise Adagrad": ours(ids, options.size, "adagrad"),
            "SGD": ours(ids, options.size, "sgd"),
            "Adam": ours(ids, options.size, "adam"),
            "Adam, average kept": ours(ids, options.size, "adam", averaged=True),
            "torch, SparseAdam": torchs(ids, options.size, sparse=True),
        }
        if table <= 1_000_000:
            steps["torch, Adam over all rows"] = torchs(ids, options.size, sparse=False)
        if rival:
            steps["fbgemm, row-wise Adagrad"] = fbgemms(ids, options.size)
        for step in steps.values():  # every row that is ever needed has been touched once
            for _ in range(SETS):
                step()
        started = time.perf_counter()
        taken = dict(zip(steps, in_turns(list(steps.values()), options.seconds, min), strict=True))
        for name, ms in taken.items():
            ratio = f"{ms / taken['fbgemm, row-wise Adagrad']:.2f}" if rival else ""
            print(f"| {table:,} | {name} | {ms:.2f} | {ms * 1e6 / ids.different:.0f} | {ratio} |", flush=True)
        del steps
        print(f"<!-- {time.perf_counter() - started:.0f} s -->")


if __name__ == "__main__":
    main()
