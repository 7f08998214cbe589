"""ONNX Runtime beside ours on the same untrained student, from ids to logits: 39 fields, D 16, depth 3, causal.

``exported`` is what ``torch.onnx.export`` makes of the reference's arithmetic, ``matrix products`` the same with every
einsum written as the batched matrix product that it is. Ours is ``Scorer.score_encoded`` on encoded rows. The share of
the peak counts the multiply-adds of the student's definition, look-up aside.
"""

from __future__ import annotations

import argparse
import logging
import subprocess
import tempfile
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from kernel import peak_steps
from memorize import untrained
from networks import ReferenceDAGFM, in_turns
from preparation import DAGFM as COMMAND
from torch import Tensor, nn

import dagfm
from dagfm.encoding.rows import Rows
from dagfm.nn.dagfm import DAGFM
from dagfm.serving.scorer import Scorer

BATCHES = (1, 100, 1024)
SIZE, DEPTH = 16, 3


def reference(scorer: Scorer, message: str) -> ReferenceDAGFM:
    """The reference's network with the weights of ``scorer``: square matrices, zero below the triangle."""
    arrays, fields = scorer.bundle.arrays, len(scorer.schema)
    network = ReferenceDAGFM(fields, SIZE, message, DEPTH)
    sources, targets = np.triu_indices(fields)
    with torch.no_grad():
        for name in ("p", "q") if message == "outer" else ("p",):
            square = getattr(network, name).zero_()
            square[:, sources, targets] = torch.from_numpy(arrays[f"network.{name}"])
            square.mul_(network.mask)
        network.connect_layer.zero_()[np.tril_indices(fields)] = torch.from_numpy(arrays["network.connect_layer"])
        network.linear.weight.copy_(torch.from_numpy(arrays["network.head.weight"]))
        network.linear.bias.copy_(torch.from_numpy(arrays["network.head.bias"]))
    network.mask.fill_(1)
    return network


class MatrixProducts(nn.Module):
    """The reference's layers without einsum: inner a product for every number of the vectors, outer for every field."""

    def __init__(self, network: ReferenceDAGFM) -> None:
        super().__init__()
        self.outer, self.connect, self.linear = network.kind == "outer", network.connect_layer, network.linear
        p, q = network.p.detach(), network.q.detach()
        self.p = nn.Parameter(p.transpose(2, 3) if self.outer else p.permute(0, 3, 1, 2))
        self.q = nn.Parameter(q.transpose(1, 2) if self.outer else torch.zeros(DEPTH))

    def forward(self, x: Tensor) -> Tensor:
        h0 = h = self.connect @ x
        sums = [h0.sum(-1)]
        for p, q in zip(self.p, self.q, strict=True):
            if self.outer:
                terms = h.transpose(0, 1) @ p
                h = h0 * (terms.permute(2, 1, 0) @ q).transpose(0, 1)
            else:
                h = h0 * (h.permute(2, 0, 1) @ p).permute(1, 2, 0)
            sums.append(h.sum(-1))
        return self.linear(torch.cat(sums, -1)).squeeze(1)


class FromIds(nn.Module):
    """Ids that count from 0 in every field (B, F), to logits (B,)."""

    def __init__(self, scorer: Scorer, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("starts", torch.tensor(np.asarray(scorer.bundle.encoder.spans.starts, np.int64)))
        self.table = nn.Embedding.from_pretrained(torch.from_numpy(scorer.bundle.arrays["embedding.weight"]))
        self.network = network

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.network(self.table(ids + self.starts))
        return logits


def session(model: nn.Module, path: Path) -> onnxruntime.InferenceSession:
    """The exported model in ONNX Runtime, all optimisations, one thread."""
    fields = model.get_buffer("starts").numel()
    batch = {"ids": {0: torch.export.Dim("rows")}}
    example = torch.zeros((2, fields), dtype=torch.int64)
    torch.onnx.export(
        model.eval(), (example,), path, dynamic_shapes=batch, input_names=["ids"], verbose=False, external_data=False
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def measure(scorer: Scorer, message: str, ids: np.ndarray, folder: Path, seconds: float) -> None:
    """Every batch size: our milliseconds and share of the peak, theirs as a multiple of ours."""
    network = reference(scorer, message)
    models = {"exported": network, "products": MatrixProducts(network)}
    sessions = [session(FromIds(scorer, model), folder / f"{message}-{name}") for name, model in models.items()]
    multiply_adds = DAGFM(len(scorer.schema), SIZE, message, DEPTH, "causal").multiply_adds
    for count in BATCHES:
        some = ids[:count].astype(np.int64)
        rows = Rows(ids[:count], np.empty((count, 0), np.float32), ())
        steps = [partial(scorer.score_encoded, rows)]
        for one in sessions:
            np.testing.assert_allclose(one.run(None, {"ids": some})[0], steps[0](), rtol=1e-3, atol=1e-4)
            steps.append(partial(one.run, None, {"ids": some}))
        with peak_steps() as (peak, _, work):
            ours, *theirs, most = in_turns([*steps, peak], seconds, min)
        share = (multiply_adds * count / ours) / (work / most)
        print(
            f"{message:8}{count:6}{1e3 * ours:12.1f}{count / ours * 1e3:13,.0f}{share:8.0%}"
            + "".join(f"{other / ours:16.1f}x" for other in theirs),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each line")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning)  # of the exporter
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        log = Path(folder) / "log"
        shape = ["--rows", "20000", "--fields", str(options.fields), "--ids", str(options.ids), "--floats", "0"]
        subprocess.run(
            [*COMMAND, "-q", "data", "simulate", *shape, "-o", str(log)], check=True, stdout=subprocess.DEVNULL
        )
        print(f"{'messages':8}{'rows':>6}{'ours, µs':>12}{'rows/s':>13}{'of peak':>8}{'exported':>17}{'products':>17}")
        for message in ("inner", "outer"):
            chosen = [f"embedding.size={SIZE}", f"student.type={message}", f"student.depth={DEPTH}"]
            scorer = dagfm.load(untrained(log, Path(folder) / message, *chosen, "student.connect=causal"))
            generator = np.random.default_rng(0)
            sizes = [scorer.bundle.encoder.rows_of(name) for name in scorer.schema.names]
            ids = generator.integers(sizes, size=(max(BATCHES), len(sizes)), dtype=np.int32)
            measure(scorer, message, ids, Path(folder), options.seconds)


if __name__ == "__main__":
    main()
