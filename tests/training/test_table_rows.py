"""Rows that wait until they are looked up: what becomes of them is what becomes of them where all rows are moved."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from clicks import Silent, click_log, small_config
from safetensors.torch import load_file

import dagfm
from dagfm.config.phases import PhaseConfig
from dagfm.data.prepare import prepare
from dagfm.errors import InputError
from dagfm.kernel.library import chosen_version
from dagfm.nn.batch import Batch
from dagfm.nn.model import CTRModel
from dagfm.training import row_rules
from dagfm.training.averaging import WeightAverage
from dagfm.training.history import History
from dagfm.training.optimizers import Optimizer
from dagfm.training.table_rows import CompiledRows, TableRows, TorchRows
from dagfm.training.workshop import Workshop

built = pytest.mark.skipif(chosen_version() is None, reason="the kernel is not built or switched off")


@pytest.fixture
def shop(folder: Path) -> Workshop:
    """Every type of field but a maximum: tokens, a sequence, a cross of both sides, floats with holes."""
    click_log(700).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["fields"] += [{"name": "user_x_item", "cross": ["user", "item"]}]
    settings = dagfm.load_config(config)
    return Workshop(settings, prepare(settings, folder, Silent()), 1, torch.device("cpu"), Silent())


def stepped(shop: Workshop, updated_rows: str, decay: float, batches: list[slice], **settings: object) -> CTRModel:
    """A model after a step over each of these training rows, its table settled, or the average where one is kept."""
    model = shop.model(shop.config.student[0], "test")
    phase = PhaseConfig(learning_rate=1e-2, epochs=1, updated_rows=updated_rows, **settings)
    optimizer = Optimizer(model, phase, decay)
    average = WeightAverage(model, phase.ema) if phase.ema else None
    train = shop.prepared.train
    for index, rows in enumerate(batches):
        chosen = np.arange(len(train))[rows]
        batch = optimizer.opened(model.layout.batch(train.rows.take(chosen)))
        model.click_loss(batch, torch.from_numpy(train.labels[chosen]), None).backward()
        optimizer.step(1e-3 * (1 + index % 3), average)
    optimizer.settle()
    if average is not None:
        with average.in_place_of_weights():
            return copy.deepcopy(model)
    return model


TURNS = [slice(start % 560, start % 560 + 40) for start in range(0, 40 * 120, 40)]
"""120 batches, each coming back after fourteen."""


def gap(one: CTRModel, other: CTRModel, start: CTRModel) -> float:
    """How far two tables are apart, as a share of how far the second one has moved."""
    tables = [model.embedding.weight.detach() for model in (one, other, start)]
    return float((tables[0] - tables[1]).norm() / (tables[1] - tables[2]).norm())


@pytest.mark.parametrize("decay", [0.0, 1e-4, 1e-2])
def test_rows_looked_up_now_and_then_move_as_in_adam_over_the_whole_table(shop: Workshop, decay: float) -> None:
    start = shop.model(shop.config.student[0], "test")
    whole, lazily = (stepped(shop, form, decay, TURNS) for form in ("all", "looked_up"))
    assert gap(lazily, whole, start) < 0.06
    assert gap(start, whole, start) == 1


def test_rows_that_every_batch_holds_move_as_adams_do(shop: Workshop) -> None:
    models = [stepped(shop, form, 1e-3, [slice(0, 500)] * 4) for form in ("all", "looked_up")]
    looked_up = models[0].layout.batch(shop.prepared.train.rows.take(np.arange(500))).ids.unique()
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        if one.shape == models[0].embedding.weight.shape:
            torch.testing.assert_close(one[looked_up], other[looked_up], rtol=1e-3, atol=1e-5)
        else:
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@built
@pytest.mark.parametrize("rule", ["adam", "adagrad", "sgd"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("decay", [0.0, 1e-2])
def test_kernel_and_torch_have_the_same_numbers(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, rule: str, ema: float, decay: float
) -> None:
    def run() -> CTRModel:
        return stepped(shop, "looked_up", decay, TURNS[:40], embedding_optimizer=rule, ema=ema)

    kernel = run()
    monkeypatch.setattr("dagfm.training.optimizers.CompiledRows", TorchRows)
    in_torch = run()
    assert not torch.equal(kernel.embedding.weight, shop.model(shop.config.student[0], "test").embedding.weight)
    for one, other in zip(kernel.parameters(), in_torch.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=2e-3, atol=2e-5)


@pytest.mark.parametrize("rows", [TorchRows, pytest.param(CompiledRows, marks=built)])
@pytest.mark.parametrize("rule", ["adam", "adagrad", "sgd"])
def test_other_rows_and_their_moments_are_not_touched_until_the_table_is_settled(
    rule: str, rows: type[TableRows]
) -> None:
    weight = torch.nn.Parameter(torch.ones(6, 3))
    table = rows(weight, rule, 0.1)
    for _ in range(5):
        opened = table.opened(Batch(torch.tensor([1, 4]), torch.arange(3), None, None))
        read = opened.pooled if opened.pooled is not None else opened.table[opened.ids]
        (read * 2).sum().backward()
        table.step(0.01, None)
    waiting = torch.tensor([0, 2, 3, 5])
    assert (weight[waiting] == 1).all()
    assert table.last.tolist() == [0, 5, 0, 0, 5, 0]
    moved = weight[[1, 4]].clone()
    table.settle()
    assert (weight[waiting] == 1 if rule == "adagrad" else weight[waiting] < 1).all()
    assert torch.equal(weight[[1, 4]], moved)
    assert table.last.tolist() == [5] * 6


def dense(rule: str, steps: int, decay: float, touched: int) -> torch.Tensor:
    """One number over ``steps`` steps at a rate of .01, with a gradient of 1 at every ``touched``-th, by definition."""
    weight, square = torch.tensor(1.0, dtype=torch.float64), 0.0
    for step in range(1, steps + 1):
        gradient = 1.0 if step % touched == 0 else 0.0
        square += gradient**2
        pace = 0.01 / (square**0.5 + 1e-8) if rule == "adagrad" else 0.01
        if square or rule == "sgd":
            weight -= pace * (gradient + decay * weight)
    return weight


@pytest.mark.parametrize("rule", ["adagrad", "sgd"])
def test_adagrad_and_sgd_are_their_definitions(rule: str) -> None:
    history = History()
    weight, square = torch.ones(1, 1), torch.zeros(1)
    empty = torch.empty(0)
    last = 0
    for step in range(1, 61):
        if step % 6 == 0:
            if last or rule == "sgd":
                idle = torch.tensor([last])
                weight, _, square = row_rules.caught_up(rule, history, 0.3, idle, weight, empty, square)
            history.append(0.01)
            weight, _, square = row_rules.stepped(rule, history, 0.3, weight, torch.ones(1, 1), empty, square)
            last = step
        else:
            history.append(0.01)
    assert float(weight) == pytest.approx(float(dense(rule, 60, 0.3, 6)), rel=2e-3)


def test_a_row_never_looked_up_is_drawn_to_zero_and_not_beyond() -> None:
    history = History()
    for _ in range(3000):
        history.append(0.01)
    weight = torch.tensor([[1.0, -0.1, 0.0]])
    now, _, _ = row_rules.caught_up(
        "adam", history, 1e-3, torch.tensor([0]), weight, torch.zeros(1, 3), torch.zeros(1, 3)
    )
    assert (now * weight >= 0).all()
    assert now.abs().max() < 0.01


def test_held_vectors_stay_and_only_theirs(shop: Workshop) -> None:
    model = shop.model(shop.config.student[0], "test")
    held = torch.tensor([9, 3, 30])
    model.embedding.hold(held, torch.full((3, 2), 7.0))
    with torch.no_grad():
        model.embedding.weight.zero_()
    model.embedding.restore_held(among=torch.tensor([9, 5, 3]))
    assert model.embedding.weight[[3, 9], :2].eq(7).all()
    assert model.embedding.weight.count_nonzero() == 4


def test_a_student_of_a_frozen_embedding_trains(shop: Workshop, folder: Path) -> None:
    config = small_config(Path("clicks.parquet"), distillation={"embedding": "teacher_frozen"})
    for phase in ("teacher_training", "distillation", "finetuning"):
        config["training"][phase] |= {"updated_rows": "looked_up", "decay": 1e-3}
    run = dagfm.fit(config, folder / "run", progress=Silent())
    teacher, student = (
        load_file(run.directory / phase / "weights.safetensors")["embedding.weight"]
        for phase in ("teacher_training/teacher", "distillation/student")
    )
    assert torch.equal(teacher, student)


def test_a_maximum_is_looked_up_in_torch(folder: Path) -> None:
    click_log(300).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["fields"] += [
        {"name": "all_tags", "column": "tags", "type": "token_seq", "separator": "|", "pooling": "max",
         "side": "candidate"},
    ]  # fmt: skip
    trained = {}
    for form in ("all", "looked_up"):
        config["training"]["teacher_training"] |= {"updated_rows": form, "decay": 1e-3}
        run = dagfm.fit({**config, "phase": "teacher_training"}, folder / form, progress=Silent())
        trained[form] = run.results["models"][0]["metrics"]["test"]["logloss"]
    assert trained["looked_up"] == pytest.approx(trained["all"], rel=0.02)


def test_adagrad_over_all_rows_is_refused(shop: Workshop) -> None:
    config = small_config(Path("clicks.parquet"))
    config["training"]["distillation"] |= {"updated_rows": "all", "embedding_optimizer": "adagrad"}
    with pytest.raises(InputError, match=r"distillation.*updated_rows: 'all' comes with adam"):
        dagfm.load_config(config)


def test_auto_looks_up_in_large_tables(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(**settings: object) -> str:
        return shop.settled(shop.config.training.distillation.model_copy(update=settings)).updated_rows

    assert settled() == "all"
    assert settled(embedding_optimizer="sgd") == "looked_up"
    monkeypatch.setattr("dagfm.training.workshop.LARGE_TABLE", shop.view().layout.table_rows)
    assert settled() == "all"
    monkeypatch.setattr("dagfm.training.workshop.LARGE_TABLE", shop.view().layout.table_rows - 1)
    assert settled() == "looked_up"
    assert settled(updated_rows="all") == "all"
    assert replace(shop, seed=2).settled(shop.config.training.distillation).updated_rows == "looked_up"


@pytest.mark.parametrize("rows", [TorchRows, pytest.param(CompiledRows, marks=built)])
def test_a_row_of_adagrad_whose_gradients_were_all_zero_stands_still(rows: type[TableRows]) -> None:
    weight = torch.nn.Parameter(torch.ones(2, 3))
    table = rows(weight, "adagrad", 0.1)
    for _ in range(3):
        opened = table.opened(Batch(torch.tensor([0, 1]), torch.arange(3), None, None))
        read = opened.pooled if opened.pooled is not None else opened.table[opened.ids]
        (read * torch.tensor([[1.0], [0.0]])).sum().backward()
        table.step(0.01, None)
    table.settle()
    assert (weight[0] < 1).all()
    assert (weight[1] == 1).all()
