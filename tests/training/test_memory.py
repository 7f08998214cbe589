"""What training holds in memory does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import sys, threading, time
from pathlib import Path
import numpy as np
import torch
from dagfm.config.networks import FMConfig
from dagfm.data.batches import Batches, Pool
from dagfm.data.dataset import Dataset
from dagfm.data.mapped import mapped
from dagfm.data.recombine import Recombination, draw_pairs
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Rows
from dagfm.encoding.spans import Spans
from dagfm.data.array_files import write_column
from dagfm.nn.batch import Layout
from dagfm.nn.model import CTRModel
from dagfm.schema import Field, Schema
from dagfm.training.scoring import chunks_of, evaluate, scores_of

rows, fields, ids = int(sys.argv[1]), 8, 1000
torch.set_num_threads(1)

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("RssAnon:")[2].split()[0]) * 1024

peak, over = 0, False
def watch():
    global peak
    while not over:
        peak = max(peak, anonymous())
        time.sleep(0.005)

def parts(count, make):
    return (make(min(1 << 18, count - start)) for start in range(0, count, 1 << 18))

def dataset(name, count):
    random = np.random.default_rng(0)
    cells = parts(count * fields, lambda n: random.integers(0, ids, n))
    write_column(Path(f"{name}-t.npy"), np.int32, count * fields, cells)
    write_column(Path(f"{name}-y.npy"), np.float32, count, parts(count, lambda n: random.integers(0, 2, n)))
    tokens = mapped(Path(f"{name}-t.npy")).reshape(count, fields)
    return Dataset(Rows(tokens, np.zeros((count, 0), np.float32), ()), mapped(Path(f"{name}-y.npy")))

train, valid = dataset("train", rows), dataset("valid", rows // 20)
schema = Schema.of(tuple(Field(name=str(i), side="context" if i < 4 else "candidate") for i in range(fields)))
model = CTRModel(schema, Layout(schema, Spans(np.arange(fields) * ids, np.full(fields, ids))), FMConfig(), 4, seed=0)
threading.Thread(target=watch, daemon=True).start()
write_column(Path("logits.npy"), np.float32, rows, map(scores_of(model), chunks_of(train.rows)))
count = 2_000_000
for side in range(2):
    pairs = (pair[side] for pair in draw_pairs(rows, count, 5))
    write_column(Path(f"pool-{side}.npy"), np.int32, count, pairs)
pool = Pool(Recombination(mapped(Path("pool-0.npy")), mapped(Path("pool-1.npy"))), np.zeros(count, np.float32))
batches = Batches(train, Encoder(schema), 4096, 1, mapped(Path("logits.npy")), pool, 0.5)
assert sum(len(examples.labels) for examples in batches.epoch(0)) == rows
evaluate(model, valid, None)
over = True
print(peak)
"""


def peak_of(rows: int, folder: Path) -> int:
    """Bytes of anonymous memory at the peak of a pass of logits, an epoch with recombined rows, and an evaluation."""
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(rows)], cwd=folder, capture_output=True, text=True, check=True
    )
    return int(found.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart")
def test_memory_is_flat(tmp_path: Path) -> None:
    small, large = (peak_of(rows, tmp_path) for rows in (2_500_000, 20_000_000))
    assert large < 1.15 * small
