"""Decay by frequency on looked-up rows: as much an epoch as on the whole table, and no other row is touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from clicks import Silent, click_log, small_config
from safetensors.torch import load_file

import dagfm
from dagfm.config.phases import PhaseConfig
from dagfm.data.batches import Batches, Examples, Pool
from dagfm.data.prepare import prepare
from dagfm.data.recombine import Recombination
from dagfm.nn.looked_up import LookedUp, look_up
from dagfm.nn.model import CTRModel
from dagfm.training.looked_up_adam import LookedUpAdam
from dagfm.training.optimizers import Optimizer
from dagfm.training.workshop import Workshop


@pytest.fixture
def shop(folder: Path) -> Workshop:
    """Every type of field: a max-pooled sequence beside a summed one, a cross of both sides, floats with holes."""
    click_log(700).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["fields"] += [
        {"name": "all_tags", "column": "tags", "type": "token_seq", "separator": "|", "pooling": "max",
         "side": "candidate"},
        {"name": "user_x_item", "cross": ["user", "item"]},
    ]  # fmt: skip
    settings = dagfm.load_config(config)
    return Workshop(settings, prepare(settings, folder, Silent()), 1, torch.device("cpu"), Silent())


def opened(shop: Workshop, model: CTRModel, recombined: float = 0.0) -> Iterator[tuple[Examples, LookedUp]]:
    """Every batch of an epoch with the rows it looks up."""
    prepared, seven = shop.prepared, np.zeros(1000, np.float32)
    places = np.random.default_rng(0).integers(0, len(prepared.train), (2, 1000))
    pool = Pool(Recombination(places[0], places[1]), seven) if recombined else None
    teacher = np.zeros(len(prepared.train), np.float32)
    for examples in Batches(prepared.train, prepared.encoder, 64, 3, teacher, pool, recombined).epoch(0):
        batch = model.layout.batch(examples.rows)
        yield examples, look_up(model.embedding.weight, batch, len(examples.labels) * model.layout.fields)[1]


@pytest.mark.parametrize("recombined", [0.0, 1.5])
def test_occurrences_in_the_labelled_rows_of_an_epoch_are_those_of_the_training_rows(
    shop: Workshop, recombined: float
) -> None:
    model = shop.model(shop.config.student[0], "test")
    counted = torch.zeros(len(model.embedding.weight), dtype=torch.int64)
    for examples, looked_up in opened(shop, model, recombined):
        assert len(examples.rows) == len(examples.labels) + int(recombined * len(examples.labels))
        counted.index_add_(0, looked_up.rows, looked_up.counts)
    assert counted.tolist() == shop.prepared.counts.tolist()


def pulled(shop: Workshop, form: str, decay: float, recombined: float) -> torch.Tensor:
    """What decay adds to the gradient of each row in an epoch, all gradients zero and the weights standing still."""
    model = shop.model(shop.config.student[0], "test")
    steps, total = 0, torch.zeros_like(model.embedding.weight, requires_grad=False)
    steps_per_epoch = -(-len(shop.prepared.train) // 64)
    adam = LookedUpAdam(model.embedding.weight, decay, shop.prepared.counts, steps_per_epoch)
    for _, looked_up in opened(shop, model, recombined):
        steps += 1
        if form == "all":
            total += decay * model.embedding.weight.detach()
            continue
        looked_up.values.grad = torch.zeros_like(looked_up.values)
        adam.mean.zero_()
        adam.step(looked_up, rate=0.0)
        total += adam.mean / (1 - 0.9)  # the first moment of a single gradient is a tenth of it
    assert steps == steps_per_epoch
    return total


@pytest.mark.parametrize("recombined", [0.0, 1.0])
def test_decay_adds_up_to_that_of_the_whole_table(shop: Workshop, recombined: float) -> None:
    whole, looked_up = (pulled(shop, form, 1e-2, recombined) for form in ("all", "looked_up"))
    trained = torch.from_numpy(np.array(shop.prepared.counts)) > 0
    assert 0 < trained.sum() < len(trained)
    torch.testing.assert_close(looked_up[trained], whole[trained], rtol=1e-4, atol=1e-7)
    assert (looked_up[~trained] == 0).all()


def stepped(shop: Workshop, updated_rows: str, steps: int, rows: slice = slice(0, 600)) -> tuple[CTRModel, Optimizer]:
    """A model after steps over the same training rows."""
    model = shop.model(shop.config.student[0], "test")
    settings = PhaseConfig(learning_rate=1e-2, epochs=1, updated_rows=updated_rows)
    optimizer = Optimizer(model, settings, 0.0, shop.prepared.counts, 1)
    train = shop.prepared.train
    chosen = np.arange(len(train))[rows]
    for _ in range(steps):
        labels = torch.from_numpy(train.labels[chosen])
        batch = optimizer.opened(model.layout.batch(train.rows.take(chosen)), len(chosen))
        model.click_loss(batch, labels, None).backward()
        optimizer.step(1e-2)
    return model, optimizer


def test_without_decay_rows_that_every_batch_holds_move_as_adams_do(shop: Workshop) -> None:
    models = [stepped(shop, form, 4)[0] for form in ("all", "looked_up")]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_rows_that_no_batch_looks_up_stay_with_their_moments(shop: Workshop) -> None:
    before = shop.model(shop.config.student[0], "test").embedding.weight.detach().clone()
    model, optimizer = stepped(shop, "looked_up", 3, slice(0, 5))
    ids = model.layout.batch(shop.prepared.train.rows.take(np.arange(5)))
    assert ids.maxima is not None
    touched = torch.zeros(len(before), dtype=torch.bool)
    touched[torch.cat([ids.ids, ids.maxima.ids])] = True
    assert optimizer.table is not None
    assert (model.embedding.weight[touched] != before[touched]).any(dim=1).float().mean() > 0.9
    assert torch.equal(model.embedding.weight[~touched], before[~touched])
    assert not optimizer.table.square[~touched].any()
    assert model.embedding.weight.grad is None


def test_held_vectors_stay_and_only_theirs(shop: Workshop) -> None:
    model = shop.model(shop.config.student[0], "test")
    held = torch.tensor([9, 3, 30])
    model.embedding.hold(held, torch.full((3, 2), 7.0))
    with torch.no_grad():
        model.embedding.weight.zero_()
    model.embedding.restore_held(among=torch.tensor([3, 5, 9]))
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


def test_auto_looks_up_in_large_tables(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def settled(settings: Any) -> str:
        return shop.settled(settings).updated_rows

    auto = shop.config.training.distillation
    assert settled(auto) == "all"
    monkeypatch.setattr("dagfm.training.workshop.LARGE_TABLE", shop.view().layout.table_rows)
    assert settled(auto) == "all"
    monkeypatch.setattr("dagfm.training.workshop.LARGE_TABLE", shop.view().layout.table_rows - 1)
    assert settled(auto) == "looked_up"
    assert settled(auto.model_copy(update={"updated_rows": "all"})) == "all"
    assert replace(shop, seed=2).settled(auto).updated_rows == "looked_up"
