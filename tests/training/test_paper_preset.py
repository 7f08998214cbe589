"""``preset: paper`` against the reference's equations, written out here once more: dense weights, float64, own Adam.

Each phase trains on one batch, or on a few whose order is known, from weights that are read off before; its loss and
its updated weights must be what the equations give. Nothing of our networks, losses or optimizer is used.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from clicks import Silent
from safetensors.numpy import load_file

import dagfm
from dagfm.config import Config
from dagfm.data.batches import Batches
from dagfm.data.dataset import Prepared
from dagfm.training.workshop import Workshop

FIELDS, SIZE, DEPTH = 5, 16, 3
ALPHA, BETA, RATE = 0.1, 921.6, 1e-3
Weights = dict[str, torch.Tensor]
Loss = Callable[[Weights, np.ndarray], torch.Tensor]
TEACHERS = {
    "crossnet": {"network": "crossnet", "depth": 2},
    "cin": {"network": "cin", "t_cin": [6, 5, 4]},
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(5)
    columns: dict[str, Any] = {f"f{index}": random.integers(0, 4 + index, 500) for index in range(FIELDS)}
    noise = random.normal(size=500)
    columns["click"] = ((columns["f0"] % 2) * 2.0 - (columns["f3"] % 3) + noise > 0).astype(int)
    path = tmp_path_factory.mktemp("paper") / "log.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


# The reference's equations -----------------------------------------------------------------------------------------


def student_logits(w: Weights, x: torch.Tensor, kind: str) -> torch.Tensor:
    """DAGFM on embeddings (B, F, D): connect layer, then ``depth`` rounds of messages along f <= s."""
    edges = torch.ones(FIELDS, FIELDS, dtype=torch.float64).triu()[:, :, None]
    first = torch.einsum("gf,bfd->bgd", w["connect_layer"], x)
    state, sums = first, [first.sum(2)]
    for layer in range(DEPTH):
        if kind == "inner":
            arrived = torch.einsum("bfd,fsd->bsd", state, edges * w["p"][layer])
        else:
            arrived = torch.einsum("bfd,fsd,fse->bse", state, edges * w["p"][layer], w["q"][layer])
        state = first * arrived
        sums.append(state.sum(2))
    return torch.cat(sums, 1) @ w["head.weight"][0] + w["head.bias"]


def crossnet_logits(w: Weights, x: torch.Tensor) -> torch.Tensor:
    start = current = x.reshape(len(x), -1)
    for matrix, bias in zip(w["weight"], w["bias"], strict=True):
        current = start * (current @ matrix.T + bias) + current
    return current @ w["head.weight"][0] + w["head.bias"]


def cin_logits(w: Weights, x: torch.Tensor) -> torch.Tensor:
    current, sums = x, []
    for layer in range(len(TEACHERS["cin"]["t_cin"])):
        matrix = w[f"layers.{layer}.weight"].view(-1, current.shape[1], FIELDS)
        current = torch.einsum("hmf,bmd,bfd->bhd", matrix, current, x) + w[f"layers.{layer}.bias"][None, :, None]
        sums.append(current.sum(2))
    return torch.cat(sums, 1) @ w["head.weight"][0]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Of sigmoid outputs, as the reference computes it."""
    chance = 1 / (1 + torch.exp(-logits))
    return -(labels * torch.log(chance) + (1 - labels) * torch.log(1 - chance)).mean()


class Adam:
    """Kingma and Ba, algorithm 1, with the reference's settings."""

    def __init__(self) -> None:
        self.step, self.mean, self.square = 0, {}, {}

    def update(self, weights: Weights, gradients: Mapping[str, np.ndarray]) -> Weights:
        self.step += 1
        moved = {}
        for name, gradient in gradients.items():
            self.mean[name] = 0.9 * self.mean.get(name, 0.0) + 0.1 * gradient
            self.square[name] = 0.999 * self.square.get(name, 0.0) + 0.001 * gradient**2
            mean = self.mean[name] / (1 - 0.9**self.step)
            spread = np.sqrt(self.square[name] / (1 - 0.999**self.step))
            moved[name] = torch.from_numpy(weights[name].detach().numpy() - RATE * mean / (spread + 1e-8))
        return {**weights, **moved}


def train(weights: Weights, trained: set[str], loss_of: Loss, batches: list[np.ndarray]) -> tuple[float, Weights]:
    """One epoch: the mean loss of its batches and the weights after the last."""
    adam, losses = Adam(), []
    for rows in batches:
        leaves = {name: value.clone().requires_grad_(name in trained) for name, value in weights.items()}
        loss = loss_of(leaves, rows)
        loss.backward()
        gradients = {name: leaves[name].grad.numpy() for name in trained}  # type: ignore[union-attr]
        weights = adam.update(leaves, gradients)
        losses.append(float(loss.detach()))
    return sum(losses) / len(losses), {name: value.detach() for name, value in weights.items()}


# What we have on disk, in the reference's shapes -------------------------------------------------------------------


def dense(stored: Mapping[str, np.ndarray]) -> Weights:
    """A model's arrays in float64; packed messages as (depth, F, F, D), zero where the edge does not exist."""
    found = {}
    for name, value in stored.items():
        array = np.asarray(value, np.float64)
        if name in ("network.p", "network.q"):
            square = np.zeros((DEPTH, FIELDS, FIELDS, SIZE))
            square[:, *np.triu_indices(FIELDS)] = array
            array = square
        found[name.removeprefix("network.")] = torch.from_numpy(array)
    return found


class Golden:
    """A run of the paper preset, one epoch a phase, and what the equations say it must have done."""

    def __init__(self, log: Path, run: Path, teacher: str, kind: str, batch_size: int) -> None:
        self.kind, self.teacher = kind, teacher
        phase = {"epochs": 1}
        self.config = dagfm.load_config(
            {
                "preset": "paper",
                "data": {"train": str(log), "label": "click"},
                "fields": [{"name": f"f{index}"} for index in range(FIELDS)],
                "teacher": TEACHERS[teacher],
                "student": {"type": kind},
                "training": {
                    "batch_size": batch_size,
                    "teacher_training": {"epochs": 4},
                    "distillation": phase,
                    "finetuning": phase,
                },
            }
        )
        self.run = dagfm.fit(self.config, run, progress=Silent()).directory
        self.prepared = Prepared.open(Path(json.loads((run / "prepared.json").read_text())["directory"]))
        self.shop = Workshop(self.config, self.prepared, self.config.training.seed, torch.device("cpu"), Silent())
        rows = self.prepared.train.rows.tokens + self.prepared.encoder.spans.starts
        self.rows = torch.from_numpy(rows.astype(np.int64))
        self.labels = torch.from_numpy(self.prepared.train.labels.astype(np.float64))

    def weights(self, phase: str) -> Weights:
        name = "teacher" if phase == "teacher_training" else "student"
        return dense(load_file(self.run / phase / name / "weights.safetensors"))

    def initial_student(self) -> Weights:
        model = self.shop.model(self.config.student[0], "student/student/distillation")
        return dense({name: value.numpy() for name, value in model.state_dict().items()})

    def loss(self, phase: str) -> float:
        (line,) = (self.run / phase / "student" / "metrics.jsonl").read_text().splitlines()
        return float(json.loads(line)["loss"])

    def batches(self, phase: str) -> list[np.ndarray]:
        """Which rows are in which batch; the sums over a batch do not care for their order."""
        seed = self.shop.seed_of(f"student/student/{phase}")
        order = np.random.default_rng([seed, 0]).permutation(len(self.rows))
        size = self.config.training.batch_size
        assert isinstance(size, int)
        expected = Batches(self.prepared.train, self.config.schema_, size, seed).per_epoch
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        assert len(batches) == expected
        return batches

    def teacher_logits(self, embedded: torch.Tensor) -> torch.Tensor:
        return {"crossnet": crossnet_logits, "cin": cin_logits}[self.teacher](
            self.weights("teacher_training"), embedded
        )

    def distillation_loss(self, w: Weights, rows: np.ndarray) -> torch.Tensor:
        embedded = w["embedding.weight"][self.rows[rows]]
        logits = student_logits(w, embedded, self.kind)
        distance = ((self.teacher_logits(embedded) - logits) ** 2).mean()
        return ALPHA * cross_entropy(logits, self.labels[rows]) + BETA * distance

    def finetuning_loss(self, w: Weights, rows: np.ndarray) -> torch.Tensor:
        logits = student_logits(w, w["embedding.weight"][self.rows[rows]], self.kind)
        return cross_entropy(logits, self.labels[rows])


def assert_same(found: Weights, expected: Weights, gradients: Weights) -> None:
    """Equal to a thousandth of a step. Adam's first step is the gradient's sign: where the gradient is within float32's
    rounding of zero, nobody's sign is right, and the weight need only have moved by no more than the steps."""
    assert found.keys() == expected.keys()
    for name in found:
        difference = (found[name] - expected[name]).abs()
        clear = gradients[name].abs() > 1e-5 * gradients[name].abs().max() if name in gradients else difference == 0
        assert clear.double().mean() > 0.3 or name not in gradients, name
        assert float(difference[clear].max()) <= 1e-6, (name, float(difference[clear].max()))
        assert float(difference.max()) <= 4 * RATE, name


@pytest.fixture(scope="module", params=[(400, 1), (160, 3)], ids=["one batch", "three batches"])
def batch_size(request: pytest.FixtureRequest) -> int:
    return int(request.param[0])


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("kind", ["inner", "outer"])
def test_distillation_and_finetuning_are_the_references(
    folder: Path, log: Path, teacher: str, kind: str, batch_size: int
) -> None:
    golden = Golden(log, folder / "run", teacher, kind, batch_size)
    network = {"connect_layer", "p", "head.weight", "head.bias"} | ({"q"} if kind == "outer" else set())

    start = golden.initial_student()
    start["embedding.weight"] = golden.weights("teacher_training")["embedding.weight"]
    loss, expected = train(start, network, golden.distillation_loss, golden.batches("distillation"))
    found = golden.weights("distillation")
    assert golden.loss("distillation") == pytest.approx(loss, rel=1e-5)
    assert torch.equal(found["embedding.weight"], start["embedding.weight"])
    assert_same(found, expected, _gradients(start, network, golden.distillation_loss))

    everything = network | {"embedding.weight"}
    loss, expected = train(found, everything, golden.finetuning_loss, golden.batches("finetuning"))
    assert golden.loss("finetuning") == pytest.approx(loss, rel=1e-6)
    trained = golden.weights("finetuning")
    seen = torch.from_numpy(golden.prepared.counts > 0)
    for weights in (trained, expected):  # an id that training never saw is the mean of those it saw: ours, not theirs
        weights["embedding.weight"] = weights["embedding.weight"][seen]
    gradients = _gradients(found, everything, golden.finetuning_loss)
    gradients["embedding.weight"] = gradients["embedding.weight"][seen]
    assert_same(trained, expected, gradients)
    assert float((trained["embedding.weight"] - found["embedding.weight"][seen]).abs().max()) > 0.5 * RATE


def _gradients(weights: Weights, trained: set[str], loss_of: Loss) -> Weights:
    """Of the whole training set as one batch."""
    leaves = {name: value.clone().requires_grad_(name in trained) for name, value in weights.items()}
    loss_of(leaves, np.arange(400)).backward()
    return {name: leaves[name].grad for name in trained}  # type: ignore[misc]


def test_the_teachers_logits_are_the_references(folder: Path, log: Path) -> None:
    for teacher in TEACHERS:
        golden = Golden(log, folder / teacher, teacher, "inner", 400)
        embedded = golden.weights("teacher_training")["embedding.weight"][golden.rows]
        ours = np.load(golden.run / "teacher_logits" / "train.npy")
        theirs = golden.teacher_logits(embedded).numpy()
        assert np.abs(ours - theirs).max() <= 1e-5 * np.abs(theirs).max()


def test_the_preset_is_the_published_defaults() -> None:
    written = {"preset": "paper", "data": {"train": "x", "label": "y"}, "fields": [{"name": "a"}]}
    config: Config = dagfm.load_config(written)
    assert (config.distillation.alpha, config.distillation.beta) == (ALPHA, BETA)
    assert config.distillation.embedding == "teacher_frozen"
    assert config.distillation.recombined == 0
    assert config.finetuning.kd_weight == 0
    student, teacher = config.student[0], config.teacher[0]
    assert (student.type, student.depth, student.connect) == ("outer", 3, "full")
    assert (teacher.network, teacher.depth) == ("crossnet", 3)
    for phase in ("teacher_training", "distillation", "finetuning"):
        settings = getattr(config.training, phase)
        assert (settings.learning_rate, settings.schedule, settings.epochs, settings.patience, settings.monitor) == (
            1e-3, "constant", 300, 10, "auc",
        )  # fmt: skip
        assert (settings.decay, settings.dropout) == (0, 0)
