"""What does a training step cost as the embedding table grows, the rows of the batches staying the same?

    python benchmarks/table_updates.py
    python benchmarks/table_updates.py --fields 39 --tables 100000 10000000

Goal: with ``updated_rows: looked_up`` the table's size does not matter, but for the misses of a cache that holds less
of it. Not a goal: to be as fast as moving all rows of a table that is not much larger than a batch.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
import torch

from dagfm.config.networks import DAGFMConfig
from dagfm.config.phases import PhaseConfig
from dagfm.encoding.rows import Rows
from dagfm.encoding.spans import Spans
from dagfm.nn.batch import Layout
from dagfm.nn.model import CTRModel
from dagfm.schema import Field, Schema
from dagfm.training.optimizers import Optimizer

BATCH, STEPS, ROUNDS = 4096, 3, 5
FORMS = ("all", "looked_up")


class Training:
    """Steps over random rows in a table of a given size."""

    def __init__(self, form: str, fields: int, table: int) -> None:
        per_field = table // fields
        schema = Schema.of(tuple(Field(name=f"f{node}", type="token") for node in range(fields)))
        self.layout = Layout(schema, Spans(np.arange(fields) * per_field, np.full(fields, per_field)))
        random = np.random.default_rng(0)
        # A few thousand ids a field, as popular as ids are, spread over however many rows the field has.
        ids = np.minimum(random.zipf(1.3, (STEPS, BATCH, fields)), 5000) * 7919 % per_field
        self.batches = [Rows(one.astype(np.int32), np.empty((BATCH, 0), np.float32), ()) for one in ids]
        self.labels = torch.from_numpy((random.random(BATCH) < 0.3).astype(np.float32))
        self.model = CTRModel(schema, self.layout, DAGFMConfig(), 16, seed=1)
        settings = PhaseConfig(learning_rate=1e-3, epochs=1, updated_rows=form)
        self.optimizer = Optimizer(self.model, settings, 1e-4)

    def seconds(self) -> float:
        """Of a step, the mean of a few."""
        started = time.process_time()
        for rows in self.batches:
            batch = self.optimizer.opened(self.layout.batch(rows))
            self.model.click_loss(batch, self.labels, None).backward()  # type: ignore[no-untyped-call]
            self.optimizer.step(1e-3)
        return (time.process_time() - started) / STEPS


def main() -> None:
    """Print a line a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--fields", type=int, default=12)
    parser.add_argument("--tables", type=int, nargs="+", default=[30_000, 100_000, 300_000, 1_000_000, 3_000_000])
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{options.fields} fields, batch {BATCH}, D 16, an inner student; rows/s of whole steps")
    print("| table rows | " + " | ".join(FORMS) + " | ratio |")
    print("|---|---|---|---|")
    for table in options.tables:
        sides = [Training(form, options.fields, table) for form in FORMS]
        for side in sides:
            side.seconds()
        taken = [[side.seconds() for side in sides] for _ in range(ROUNDS)]
        every, looked_up = (BATCH / statistics.median(one) for one in zip(*taken, strict=True))
        print(f"| {table:,} | {every:,.0f} | {looked_up:,.0f} | {looked_up / every:.2f} |", flush=True)


if __name__ == "__main__":
    main()
