"""The moving average of the weights: its own definition, however rows are moved, and shown only while judged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from clicks import Silent, click_log, small_config

import dagfm
from dagfm.data.prepare import prepare
from dagfm.nn.model import CTRModel
from dagfm.training.averaging import TABLE, WeightAverage
from dagfm.training.workshop import Workshop

DECAY = 0.8


@pytest.fixture
def model(folder: Path) -> CTRModel:
    click_log(300).write_parquet("clicks.parquet")
    config = dagfm.load_config(small_config(Path("clicks.parquet")))
    shop = Workshop(config, prepare(config, folder, Silent()), 1, torch.device("cpu"), Silent())
    return shop.model(config.student[0], "test")


@pytest.mark.parametrize("lazily", [False, True])
def test_the_average_is_that_of_the_weights_after_every_step(model: CTRModel, lazily: bool) -> None:
    average = WeightAverage(model, DECAY)
    generator = torch.Generator().manual_seed(0)
    seen: list[dict[str, torch.Tensor]] = []
    for step in range(12):
        rows = torch.randperm(len(model.embedding.weight), generator=generator)[:9].sort().values
        with torch.no_grad():
            before = model.embedding.weight[rows].clone()
            for name, parameter in model.named_parameters():
                if name != TABLE:
                    parameter.add_(torch.randn(parameter.shape, generator=generator))
            model.embedding.weight[rows] += torch.randn(before.shape, generator=generator)
        if lazily:
            average.update_rows(rows, before, model.embedding.weight[rows])
        average.update(lazily)
        seen.append({name: parameter.detach().clone() for name, parameter in model.named_parameters()})
        if step in (4, 11):
            shares = torch.tensor([DECAY ** (step - index) for index in range(step + 1)], dtype=torch.float64)
            shares /= shares.sum()
            with average.in_place_of_weights():
                for name, parameter in model.named_parameters():
                    expected = sum(share * one[name].double() for share, one in zip(shares, seen, strict=True))
                    torch.testing.assert_close(parameter.double(), expected, rtol=1e-4, atol=1e-5)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, seen[-1][name])


def test_what_does_not_train_is_no_average(model: CTRModel) -> None:
    model.embedding.weight.requires_grad_(False)
    before = model.embedding.weight.clone()
    average = WeightAverage(model, DECAY)
    for _ in range(3):
        average.update()
    with average.in_place_of_weights():
        assert torch.equal(model.embedding.weight, before)


def test_running_figures_of_batch_normalisation_are_averaged_with_their_weights(folder: Path) -> None:
    click_log(300).write_parquet("clicks.parquet")
    config = dagfm.load_config(small_config(Path("clicks.parquet"), teacher={"network": "mlp", "batch_norm": True}))
    shop = Workshop(config, prepare(config, folder, Silent()), 1, torch.device("cpu"), Silent())
    model = shop.model(config.teacher[0], "test")
    average = WeightAverage(model, 0.5)
    (mean, *_) = (value for name, value in model.named_buffers() if name.endswith("mean"))
    for figure in (0.0, 3.0):
        mean.fill_(figure)
        average.update()
    with average.in_place_of_weights():
        assert mean.tolist() == pytest.approx([2.0] * len(mean))
    assert mean.eq(3.0).all()


def test_held_vectors_are_shown_as_they_are(model: CTRModel) -> None:
    held = torch.rand(2, 3)
    model.embedding.hold(torch.tensor([4, 2]), held)
    model.embedding.restore_held()
    average = WeightAverage(model, DECAY)
    for _ in range(7):
        average.update()
    with average.in_place_of_weights():
        assert torch.equal(model.embedding.weight[[4, 2], :3], held)
