"""Times training with the paper preset next to the reference's steps, on MovieLens 100k.

python benchmarks/training.py --data data/ml-100k --epochs 3 --rounds 3
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from networks import ReferenceCrossNet, ReferenceDAGFM
from torch import Tensor, nn

from dagfm.config import Config, load_config
from dagfm.data.dataset import Dataset, Prepared
from dagfm.data.prepare import prepare
from dagfm.run.fit import fit

CONFIG = Path(__file__).parents[1] / "examples" / "ml-100k" / "dagfm.yaml"
PHASES = ("teacher_training", "distillation", "finetuning")


class Silent:
    """Progress that nobody watches."""

    def start(self, title: str, rows: int, done: int = 0) -> None: ...

    def advance(self, rows: int) -> None: ...

    def line(self, text: str) -> None: ...

    def finish(self) -> None: ...


class Reference(nn.Module):
    """One table for the tokens, one for the sequence (padded, masked mean), teacher and student on top."""

    def __init__(self, prepared: Prepared, size: int = 16) -> None:
        super().__init__()
        encoder = prepared.encoder
        rows = [encoder.rows_of(name) for name in encoder.schema.names]
        self.register_buffer("starts", torch.tensor(np.cumsum([0, *rows[:-2]])))
        self.tokens = nn.Embedding(sum(rows[:-1]), size)
        self.sequence = nn.Embedding(rows[-1] + 1, size)
        for table in (self.tokens, self.sequence):
            nn.init.xavier_normal_(table.weight)
        self.teacher = ReferenceCrossNet(len(rows), size, 3)
        self.student = ReferenceDAGFM(len(rows), size, "outer", 3)

    def embed(self, tokens: Tensor, sequence: Tensor) -> Tensor:
        mask = (sequence != 0).float()
        values = self.sequence(sequence) * mask.unsqueeze(2)
        mean = values.sum(1, keepdim=True) / (mask.sum(1)[:, None, None] + 1e-8)
        return torch.cat([mean, self.tokens(tokens + self.starts)], 1)

    def loss(self, phase: str, tokens: Tensor, sequence: Tensor, labels: Tensor) -> Tensor:
        x = self.embed(tokens, sequence)
        if phase != "distillation":
            network = self.teacher if phase == "teacher_training" else self.student
            return F.binary_cross_entropy(torch.sigmoid(network(x)), labels)
        x = x.detach()
        teacher, student = self.teacher(x), self.student(x)
        return 0.1 * F.binary_cross_entropy(torch.sigmoid(student), labels) + 921.6 * torch.mean(
            (teacher.detach() - student) ** 2
        )


def padded(dataset: Dataset) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens, sequences padded with 0 (ids from 1), labels."""
    ragged = dataset.rows.sequences[0]
    lengths = np.diff(ragged.offsets)
    matrix = np.zeros((len(dataset), lengths.max()), np.int64)
    matrix[np.arange(matrix.shape[1]) < lengths[:, None]] = ragged.values + 1
    return (
        torch.from_numpy(np.array(dataset.rows.tokens, np.int64)),
        torch.from_numpy(matrix),
        torch.from_numpy(np.array(dataset.labels)),
    )


def reference_speed(prepared: Prepared, phase: str, epochs: int, batch_size: int) -> float:
    """Rows/s of the reference's steps, shuffling included, evaluation not."""
    model = Reference(prepared)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    tokens, sequence, labels = padded(prepared.train)
    started = time.perf_counter()
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(batch_size):
            optimizer.zero_grad()
            model.loss(phase, tokens[rows], sequence[rows], labels[rows]).backward()
            optimizer.step()
    return epochs * len(labels) / (time.perf_counter() - started)


def our_speeds(config: Config, epochs: int) -> dict[str, float]:
    """Rows/s of every phase, as a run measures them: batches, look-up, step; evaluation not."""
    brief = [f"training.{phase}.{key}={epochs}" for phase in PHASES for key in ("epochs", "patience")]
    with tempfile.TemporaryDirectory() as folder:
        results = fit(config, Path(folder) / "run", overrides=brief, progress=Silent()).results
    return {entry["phase"]: entry["training_rows_per_second"] for entry in results["models"]}


def peak_memory(arguments: list[str]) -> float:
    """Megabytes that a whole ``dagfm fit`` of one epoch a phase holds at its peak."""
    brief = [f"training.{phase}.epochs=1" for phase in PHASES]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "dagfm", "-q", "fit", str(CONFIG), "-o", f"{folder}/run", "--json"]
        pairs = [part for pair in [*arguments, *brief] for part in ("--set", pair)]
        subprocess.run([*command, *pairs], check=True, stdout=subprocess.DEVNULL)
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def profile(config: Config, phase: str) -> str:
    """Where the time of one phase goes, by torch operation."""
    brief = [f"training.{name}.epochs={2 if name == phase else 1}" for name in PHASES]
    with (
        tempfile.TemporaryDirectory() as folder,
        torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler,
    ):
        fit(config, Path(folder) / "run", overrides=brief, progress=Silent())
    return profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=18, max_name_column_width=40)


def main() -> None:
    """Measure, print a table of ratios and the peak memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("data/ml-100k"), help="folder of ml-100k.inter, .user, .item")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--profile", choices=PHASES, help="print where one phase's time goes instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    files = {"data.train": "inter", "data.tables.user_id": "user", "data.tables.item_id": "item"}
    arguments = [f"{key}={(options.data / f'ml-100k.{suffix}').resolve()}" for key, suffix in files.items()]
    arguments.append("preset=paper")
    config = load_config(CONFIG, arguments)
    if options.profile:
        print(profile(config, options.profile))
        return
    prepared = prepare(config, Path.cwd())
    speeds: dict[str, list[tuple[float, float]]] = {phase: [] for phase in PHASES}
    for _ in range(options.rounds):
        ours = our_speeds(config, options.epochs)
        for phase in PHASES:
            theirs = reference_speed(prepared, phase, options.epochs, int(config.training.batch_size))
            speeds[phase].append((ours[phase], theirs))
    print(f"{'phase':18}{'ours rows/s':>14}{'reference':>14}{'ratio':>8}")
    for phase, pairs in speeds.items():
        mine, reference = (statistics.median(column) for column in zip(*pairs, strict=True))
        ratio = statistics.median(one / other for one, other in pairs)
        print(f"{phase:18}{mine:14,.0f}{reference:14,.0f}{ratio:8.2f}")
    print(f"peak memory of a whole fit: {peak_memory(arguments):,.0f} MB")


if __name__ == "__main__":
    main()
