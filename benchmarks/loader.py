"""How fast do training rows come from a memory map, and does training notice that they do?

    python benchmarks/loader.py
    python benchmarks/loader.py --rows 10000000 --rounds 3

Goals: at 39 token fields and batch 4096, one thread, the loader delivers at least 3,000,000 rows/s from a memory map
in the two-level order; an epoch of training from a memory map takes at most 1.05 times as long as from arrays in
memory; from files that are not in the system's cache a window reads at most twice its own bytes, so that data larger
than memory is read twice an epoch and not once a window. Not a goal: the speed of cold files, which is the disk's.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from dagfm.config.networks import DAGFMConfig
from dagfm.config.phases import PhaseConfig
from dagfm.data.array_files import write_column
from dagfm.data.batches import Batches
from dagfm.data.dataset import Dataset
from dagfm.data.mapped import mapped
from dagfm.data.shuffle import WINDOW, Shuffle
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Rows
from dagfm.encoding.spans import Spans
from dagfm.nn.batch import Layout
from dagfm.nn.model import CTRModel
from dagfm.schema import Field, Schema
from dagfm.training.losses import blended_loss
from dagfm.training.optimizers import Optimizer

BATCH = 4096
IDS = 1000
"""Ids a field: the table stays small, so that the step is as short, and the loader as visible, as it can be."""


def write(folder: Path, rows: int, fields: int) -> None:
    """Random tokens and labels, as prepared data has them on disk."""
    random = np.random.default_rng(0)

    def tokens() -> Iterator[np.ndarray]:
        for start in range(0, rows, WINDOW):
            yield random.integers(0, IDS, min(WINDOW, rows - start) * fields, dtype=np.int32)

    write_column(folder / "flat.npy", np.int32, rows * fields, tokens())
    labels = (random.random(min(WINDOW, rows - start), np.float32) < 0.3 for start in range(0, rows, WINDOW))
    write_column(folder / "labels.npy", np.float32, rows, labels)


def opened(folder: Path, rows: int, fields: int) -> Dataset:
    """The rows as memory maps."""
    tokens = mapped(folder / "flat.npy").reshape(rows, fields)
    return Dataset(Rows(tokens, np.zeros((rows, 0), np.float32), ()), mapped(folder / "labels.npy"))


def in_memory(dataset: Dataset) -> Dataset:
    """The same rows as arrays in memory."""
    return Dataset(Rows(np.array(dataset.rows.tokens), dataset.rows.floats, ()), np.array(dataset.labels))


def rate(work: Callable[[], int]) -> float:
    """Rows a second of processor time, the system's included, which others on a busy machine cannot take away."""
    started = time.process_time()
    rows = work()
    return rows / (time.process_time() - started)


def order(rows: int) -> int:
    """The order alone."""
    return sum(len(chosen) for chosen in Shuffle(rows, 1).batches(0, BATCH))


def delivered(batches: Batches, layout: Layout | None) -> int:
    """An epoch of batches, as arrays or as tensors."""
    count = 0
    for examples in batches.epoch(0):
        if layout is not None:
            layout.batch(examples.rows)
        count += len(examples.labels)
    return count


class Training:
    """Steps of one model, as a phase makes them, each time those of a new epoch."""

    def __init__(self, schema: Schema, layout: Layout, batches: Batches) -> None:
        self.batches, self.epoch = batches, 0
        self.model = CTRModel(schema, layout, DAGFMConfig(), 16, seed=1)
        # Without decay nothing asks how often a row occurs.
        self.optimizer = Optimizer(self.model, PhaseConfig(learning_rate=1e-3, epochs=1), 0.0)

    def steps(self, count: int) -> int:
        """The first steps of the next epoch; how many rows they took."""
        done = 0
        for _, examples in zip(range(count), self.batches.epoch(self.epoch), strict=False):
            batch = self.optimizer.opened(self.model.layout.batch(examples.rows), len(examples.labels))
            loss = blended_loss(self.model(batch), torch.from_numpy(examples.labels), None, 1.0, 0.0)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step(1e-3)
            done += len(examples.labels)
        self.epoch += 1
        return done


def cold_window(folder: Path, rows: int, schema: Schema) -> str:
    """What the first window of an epoch reads from disk, of files that the system was asked to forget."""
    for path in folder.iterdir():
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)
    dataset = opened(folder, rows, len(schema))
    window = rows // Shuffle(rows, 1).windows // BATCH * BATCH
    before, started = bytes_read(), time.perf_counter()
    for _ in zip(range(window // BATCH), Batches(dataset, Encoder(schema), BATCH, seed=1).epoch(0), strict=False):
        pass
    speed = window / (time.perf_counter() - started)
    share = (bytes_read() - before) / (window * 4 * (len(schema) + 1))
    return f"cold files: a window reads {share:.2f} times its bytes, at {speed:,.0f} rows/s"


def bytes_read() -> int:
    """Bytes that this process has caused to be read from disks."""
    text = Path("/proc/self/io").read_text()
    return int(text.partition("\nread_bytes: ")[2].partition("\n")[0])


def main() -> None:
    """Measure in turns and print rows/s and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=4_000_000, help="more than a window, so that there are several")
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=40, help="training steps a round")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows, fields = options.rows, options.fields
    schema = Schema.of(tuple(Field(name=f"f{index}") for index in range(fields)))
    layout = Layout(schema, Spans(np.arange(fields) * IDS, np.full(fields, IDS)))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write(folder, rows, fields)
        print(cold_window(folder, rows, schema))
        sources = {"map": opened(folder, rows, fields)}
        sources["memory"] = in_memory(sources["map"])
        batches = {name: Batches(dataset, Encoder(schema), BATCH, seed=1) for name, dataset in sources.items()}
        speeds: dict[str, list[float]] = {}

        def note(name: str, work: Callable[[], int]) -> None:
            speeds.setdefault(name, []).append(rate(work))

        trainings = {name: Training(schema, layout, source) for name, source in batches.items()}
        for training in trainings.values():
            training.steps(3)
        for _ in range(options.rounds):
            note("order alone", lambda: order(rows))
            for name, source in batches.items():
                note(f"loader, {name}", lambda source=source: delivered(source, None))
                note(f"loader and tensors, {name}", lambda source=source: delivered(source, layout))
            for name, training in trainings.items():
                note(f"training, {name}", lambda training=training: training.steps(options.steps))
        for name, found in speeds.items():
            print(f"{name:28}{statistics.median(found):14,.0f} rows/s")
        for what in ("loader", "loader and tensors", "training"):
            pairs = zip(speeds[f"{what}, map"], speeds[f"{what}, memory"], strict=True)
            ratio = statistics.median(theirs / ours for ours, theirs in pairs)
            print(f"{what}: from a map it takes {ratio:.3f} times as long as from memory")


if __name__ == "__main__":
    main()
