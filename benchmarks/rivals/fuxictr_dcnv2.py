"""FuxiCTR's DCNv2 beside our DCNv2 teacher and our student: an epoch each over the same simulated rows, in turns.

FuxiCTR's package has the layers, the training loop and the loaders; its model zoo, which is not in the package, puts
them together as here. Both sides: the same hidden layers and batches, Adam at the own default learning rate, no
regularisation of the embeddings (with it, FuxiCTR's step would also read the whole table once more). Theirs is timed
with its own loader, one process, and on batches that lie ready.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.layers import CrossNetV2, FeatureEmbedding, MLP_Block
from fuxictr.pytorch.models import BaseModel
from preparation import DAGFM
from torch import Tensor, nn
from training import Silent

from dagfm.config import load_config
from dagfm.data.dataset import Dataset, Prepared
from dagfm.data.prepare import prepare
from dagfm.metrics import auc, logloss
from rivals.epochs import trained

HIDDEN, DROPOUT, DEPTH, SIZE, RATE = [400, 400, 400], 0.2, 3, 16, 1e-3


class FuxiDCNv2(BaseModel):
    """FuxiCTR's parallel DCNv2, made of its layers and trained by its loop, without its checkpoints."""

    def __init__(self, features: FeatureMap, folder: Path) -> None:
        super().__init__(features, model_root=str(folder), metrics=["AUC"], verbose=0)
        width = features.sum_emb_out_dim()
        self.embedding_layer = FeatureEmbedding(features, SIZE)
        self.crossnet = CrossNetV2(width, DEPTH)
        self.parallel_dnn = MLP_Block(
            input_dim=width, output_dim=None, hidden_units=HIDDEN, dropout_rates=DROPOUT, batch_norm=True
        )
        self.fc = nn.Linear(width + HIDDEN[-1], 1)
        self.compile("adam", "binary_crossentropy", RATE)
        self.reset_parameters()

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        x = self.embedding_layer(self.get_inputs(inputs), flatten_emb=True)
        logits = self.fc(torch.cat([self.crossnet(x), self.parallel_dnn(x)], dim=-1))
        return {"y_pred": self.output_activation(logits)}

    def eval_step(self) -> None: ...

    def load_weights(self, checkpoint: str) -> None: ...


def feature_map(prepared: Prepared) -> FeatureMap:
    """The fields as FuxiCTR names them."""
    features = FeatureMap("rivals", "")
    for field in prepared.encoder.schema:
        numeric = {"type": "numeric", "source": ""}
        categorical = {"type": "categorical", "source": "", "vocab_size": prepared.encoder.rows_of(field.name)}
        features.features[field.name] = numeric if field.form == "numbers" else categorical
    features.labels, features.default_emb_dim = ["click"], SIZE
    features.num_fields = len(features.features)
    features.set_column_index()
    return features


def write(part: Dataset, prepared: Prepared, path: Path) -> str:
    """The rows as FuxiCTR's loader reads them."""
    schema = prepared.encoder.schema
    ids = [field.name for field in schema.of_form("ids")]
    numbers = [field.name for field in schema.of_form("numbers")]
    columns = {name: part.rows.tokens[:, at] for at, name in enumerate(ids)}
    columns |= {name: np.nan_to_num(part.rows.floats[:, at]) for at, name in enumerate(numbers)}
    np.savez(path, **columns, click=part.labels)
    return str(path)


def theirs(prepared: Prepared, folder: Path, batch_size: int) -> dict[str, float]:
    """An epoch's rows/s with their loader and on ready batches; test figures after the first of the two."""
    features = feature_map(prepared)
    torch.manual_seed(0)
    files = {name: write(getattr(prepared, name), prepared, folder / f"{name}.npz") for name in ("train", "test")}
    loaders = {
        name: RankDataLoader(
            features, stage="train", train_data=file, batch_size=batch_size, shuffle=name == "train", num_workers=0
        )[0]
        for name, file in files.items()
    }
    model, count = FuxiDCNv2(features, folder), len(prepared.train)
    started = time.perf_counter()
    model.fit(loaders["train"], epochs=1)
    loaded = count / (time.perf_counter() - started)
    scores = np.clip(model.predict(loaders["test"]), 1e-7, 1 - 1e-7)
    labels, logits = prepared.test.labels, np.log(scores / (1 - scores))
    batches = list(loaders["train"])
    started = time.perf_counter()
    model.fit(batches, epochs=1)
    ready = count / (time.perf_counter() - started)
    return {"loader": loaded, "ready": ready, "auc": auc(labels, logits), "logloss": logloss(labels, logits)}


def ours(config: Path, network: dict[str, Any], batch_size: int) -> dict[str, float]:
    """An epoch of a network of ours: rows/s, test figures."""
    asked = [f"training.batch_size={batch_size}", f"embedding.size={SIZE}"]
    plain = {"decay": 0.0, "dropout": 0.0}
    asked += [f"training.teacher_training.{key}={value}" for key, value in plain.items()]
    found = trained(config, network, asked)
    figures = found["metrics"]["test"]
    return {"ready": found["training_rows_per_second"], "auc": figures["auc"], "logloss": figures["logloss"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=60_000, help="four fifths of them are training rows")
    parser.add_argument("--fields", type=int, default=39)
    parser.add_argument("--ids", type=int, default=100_000)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(1)
    networks = {
        "our DCNv2": {"network": "dcnv2", "depth": DEPTH, "hidden": HIDDEN, "dropout": DROPOUT, "batch_norm": True},
        "our student": {"network": "dagfm"},
    }
    with tempfile.TemporaryDirectory(prefix="rivals-") as folder:
        log = Path(folder) / "log"
        shape = ["--rows", options.rows, "--fields", options.fields, "--ids", options.ids, "-o", log]
        command = [*DAGFM, "-q", "data", "simulate", *map(str, shape)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        prepared = prepare(load_config(log / "dagfm.yaml"), log, progress=Silent())
        found: dict[str, list[dict[str, float]]] = {"FuxiCTR's DCNv2": []} | {name: [] for name in networks}
        for _ in range(options.rounds):
            found["FuxiCTR's DCNv2"].append(theirs(prepared, Path(folder), options.batch_size))
            for name, network in networks.items():
                found[name].append(ours(log / "dagfm.yaml", network, options.batch_size))
    print(f"{len(prepared.train):,} training rows, {len(prepared.counts):,} embedding rows, batch {options.batch_size}")
    print(f"{'one epoch':20}{'rows/s':>10}{'of theirs':>11}{'with loader':>13}{'AUC':>9}{'logloss':>9}")
    best = {name: {key: max(one[key] for one in turns) for key in turns[0]} for name, turns in found.items()}
    for name, figures in best.items():
        loader = f"{figures['loader']:13,.0f}" if "loader" in figures else f"{'':13}"
        ratio = figures["ready"] / best["FuxiCTR's DCNv2"]["ready"]
        told = f"{found[name][0]['auc']:9.4f}{found[name][0]['logloss']:9.4f}"
        print(f"{name:20}{figures['ready']:10,.0f}{ratio:10.2f}x{loader}{told}", flush=True)


if __name__ == "__main__":
    main()
