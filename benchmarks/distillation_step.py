"""How fast is a whole step of distillation from cached logits, beside the reference's step?

    python benchmarks/distillation_step.py
    python benchmarks/distillation_step.py --tables 1000000 --teacher cin

Ours: batches of an epoch with a recombined row beside each row, their logits from the cache, an inner student with a
causal connect layer, a trainable embedding of which the looked-up rows are moved. The reference's: the same rows
without recombined ones, its arithmetic in plain torch (einsum over (B, F, D), a full connect layer), the teacher's
forward pass in every step, Adam over the whole table. Both count the rows that they learn from. Goals at 39 fields,
batch 4096, D 16, one thread: 8 times as many rows a second at 1,000,000 ids and 25 times at 10,000,000 with a CrossNet
for a teacher, 150 times with CIN[200, 200, 200]; on MovieLens 1M's shape (``--fields 7 --tables 10000``) 600,000
rows/s.
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np
import torch
from networks import ReferenceCIN, ReferenceCrossNet, ReferenceDAGFM, Step, in_turns
from torch import Tensor, nn

from dagfm.config.networks import DAGFMConfig
from dagfm.config.phases import PhaseConfig
from dagfm.data.batches import Batches, Pool
from dagfm.data.dataset import Dataset
from dagfm.data.recombine import Recombination
from dagfm.encoding.rows import Rows
from dagfm.encoding.spans import Spans
from dagfm.nn.batch import Layout
from dagfm.nn.model import CTRModel
from dagfm.schema import Field, Schema
from dagfm.training.allocator import keep_freed_memory
from dagfm.training.losses import terms_of
from dagfm.training.optimizers import Optimizer

ROWS = 400_000
SIZE = 16


class Log:
    """Random tokens, as popular as ids are, and a teacher's logits."""

    def __init__(self, fields: int, table: int) -> None:
        self.fields, self.per_field = fields, table // fields
        random = np.random.default_rng(0)
        tokens = (random.zipf(1.2, (ROWS, fields)) * 7919 % self.per_field).astype(np.int32)
        labels = (random.random(ROWS) < 0.3).astype(np.float32)
        self.dataset = Dataset(Rows(tokens, np.empty((ROWS, 0), np.float32), ()), labels)
        self.teacher, self.of_pool = random.normal(size=(2, ROWS)).astype(np.float32)
        self.pairs = random.integers(0, ROWS, (2, ROWS))
        sides = ["context"] * (fields * 3 // 4) + ["candidate"] * (fields - fields * 3 // 4)
        self.schema = Schema.of(
            tuple(Field(name=f"f{node}", type="token", side=side) for node, side in enumerate(sides))
        )


class EncoderOf:
    """What recombining rows asks of an encoder."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema


def ours(log: Log, batch: int) -> Step:
    """A step as the training loop makes it, batches included."""
    spans = Spans(np.arange(log.fields) * log.per_field, np.full(log.fields, log.per_field))
    model = CTRModel(log.schema, Layout(log.schema, spans), DAGFMConfig(connect="causal"), SIZE, seed=1)
    optimizer = Optimizer(model, PhaseConfig(learning_rate=1e-3, epochs=1, updated_rows="looked_up"), 1e-4)
    pool = Pool(Recombination(*log.pairs), log.of_pool)
    encoder = EncoderOf(log.schema)
    batches = Batches(log.dataset, encoder, batch, 1, log.teacher, pool, 1.0)  # type: ignore[arg-type]
    examples = itertools.chain.from_iterable(batches.epoch(number) for number in itertools.count())

    def step() -> None:
        one = next(examples)
        loss = model.loss(optimizer.opened(model.layout.batch(one.rows)), terms_of(one, 0.0, 1.0))
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(1e-3)

    return step


def references(log: Log, batch: int, teacher: str, compiled: bool) -> Step:
    """The reference's step, its loss as KD-DAGFM's configuration has it."""
    table = nn.Embedding(log.fields * log.per_field, SIZE)
    nn.init.normal_(table.weight, 0, 0.1)
    student = ReferenceDAGFM(log.fields, SIZE, "inner", 3)
    teaching = ReferenceCrossNet(log.fields, SIZE, 3) if teacher == "crossnet" else ReferenceCIN(log.fields, (200,) * 3)
    optimizer = torch.optim.Adam([*table.parameters(), *student.parameters()], lr=1e-3)
    ids = torch.from_numpy(log.dataset.rows.tokens.astype(np.int64)) + torch.arange(log.fields) * log.per_field
    labels = torch.from_numpy(log.dataset.labels)
    forward = torch.compile(student) if compiled else student
    turns = itertools.cycle(torch.randperm(ROWS).split(batch)[: ROWS // batch])

    def step() -> None:
        rows = next(turns)
        x: Tensor = table(ids[rows])
        logits = forward(x)
        with torch.no_grad():
            taught = teaching(x)
        clicks = nn.functional.binary_cross_entropy(torch.sigmoid(logits), labels[rows])
        (0.1 * clicks + torch.mean((taught - logits) ** 2)).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--tables", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--teacher", choices=["crossnet", "cin"], default="crossnet")
    parser.add_argument("--compiled", action="store_true", help="the reference's student through torch.compile")
    parser.add_argument("--seconds", type=float, default=20.0, help="for each table")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    print(f"{options.fields} fields, batch {options.batch}, D {SIZE}, {options.threads} thread(s), a {options.teacher}")
    print("| table rows | ours ms | rows/s | reference ms | rows/s | ratio |")
    print("|---|---|---|---|---|---|")
    for table in options.tables:
        log = Log(options.fields, table)
        mine = ours(log, options.batch)
        for _ in range(ROWS // options.batch):  # an epoch, so that memory which nothing has touched is no part of it
            mine()
        sides = [mine, references(log, options.batch, options.teacher, options.compiled)]
        our, other = in_turns(sides, options.seconds)
        ours_a_second, others = 2 * options.batch / our * 1e3, options.batch / other * 1e3
        ratio = ours_a_second / others
        print(
            f"| {table:,} | {our:.1f} | {ours_a_second:,.0f} | {other:.1f} | {others:,.0f} | {ratio:.1f} |", flush=True
        )
        del sides, mine


if __name__ == "__main__":
    main()
