"""Where a student's embedding starts."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from clicks import Finished, Silent, small_config
from torch import Tensor

import dagfm
from dagfm.config.networks import DAGFMConfig
from dagfm.data.dataset import Prepared
from dagfm.nn.model import CTRModel
from dagfm.training.axes import principal_axes
from dagfm.training.checkpoint import write_tensors
from dagfm.training.first_embedding import FAINT, TINY, UNIT, scatter, start_embedding
from dagfm.training.workshop import Workshop

TABLE = "embedding.weight"


@pytest.fixture
def shop(finished: Finished) -> Workshop:
    config = dagfm.load_config(finished.folder / "dagfm.yaml")
    prepared = Prepared.open(Path(json.loads((finished.run / "prepared.json").read_text())["directory"]))
    return Workshop(config, prepared, 1, torch.device("cpu"), Silent())


def _student(shop: Workshop, size: int = 4, **settings: bool) -> CTRModel:
    return shop.model(DAGFMConfig(size=size, **settings), "test")  # type: ignore[arg-type]


def _table(shop: Workshop, columns: int, seed: int = 0) -> Tensor:
    return torch.randn(shop.view().layout.table_rows, columns, generator=torch.Generator().manual_seed(seed))


def _started(shop: Workshop, model: CTRModel, folder: Path, weight: Tensor, size: int) -> Tensor:
    write_tensors(folder / "weights", {TABLE: weight})
    start_embedding(model, [(folder / "weights", size, None)], shop.prepared.counts, frozen=False)
    return model.embedding.weight.detach()


@pytest.mark.parametrize("frozen", [True, False])
def test_a_tiny_teachers_embedding_is_enlarged_unless_it_stays_frozen(
    shop: Workshop, tmp_path: Path, frozen: bool
) -> None:
    model = _student(shop)
    tiny = _table(shop, 4) * TINY / 10
    write_tensors(tmp_path / "weights", {TABLE: tiny})
    start_embedding(model, [(tmp_path / "weights", model.size, None)], shop.prepared.counts, frozen=frozen)
    ratio = model.embedding.weight.detach() / tiny
    assert torch.allclose(ratio, ratio[0, 0])
    assert (float(ratio[0, 0]) == 1.0) == frozen
    assert model.embedding.weight.requires_grad != frozen


def test_a_teachers_first_order_weights_are_not_handed_on_with_its_vectors(shop: Workshop, tmp_path: Path) -> None:
    model = _student(shop)
    vectors = _table(shop, 4)
    narrower = {TABLE: _table(shop, 4, 1)}  # of vectors one number shorter: as wide, but no match
    wide = {TABLE: torch.cat([vectors, _table(shop, 1, 2)], 1)}
    teachers = []
    for name, tensors, numbers in (("narrower", narrower, 3), ("wide", wide, 4)):
        write_tensors(tmp_path / name, tensors)
        teachers.append((tmp_path / name, numbers, None))
    start_embedding(model, teachers, shop.prepared.counts, frozen=False)
    assert torch.equal(model.embedding.weight, vectors)


@pytest.mark.parametrize("size", [2, 4, 5])
def test_a_students_own_first_order_weights_start_at_zero(shop: Workshop, tmp_path: Path, size: int) -> None:
    started = _started(shop, _student(shop, size, first_order=True), tmp_path, _table(shop, 4), 4)
    assert started.shape[1] == size + 1
    assert torch.equal(started[:, size], torch.zeros(len(started)))
    assert bool((started[:, :size] != 0).all())


def test_a_narrower_student_gets_all_that_lies_in_as_many_directions(shop: Workshop, tmp_path: Path) -> None:
    """Of vectors that lie in a plane, two numbers keep every distance."""
    plane = _table(shop, 2) @ torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(9)))[0][:2]
    started = _started(shop, _student(shop, 2), tmp_path, plane, 5)
    assert started.shape[1] == 2
    torch.testing.assert_close(torch.cdist(started, started), torch.cdist(plane, plane), atol=2e-3, rtol=1e-3)


def _spread(shop: Workshop, weight: Tensor, direction: Tensor) -> float:
    """By hand: how far the training cells of fields spread in a direction, each field about its mean."""
    total = 0.0
    spans, counts = shop.view().layout.spans, np.asarray(shop.prepared.counts, np.float64)
    along = (weight.double() @ direction.double()).numpy()
    for node in spans.own:
        span = spans.slice_of(node)
        mean = 0.0 if shop.view().layout.is_float(node) else np.average(along[span], weights=counts[span])
        total += float((counts[span] * (along[span] - mean) ** 2).sum())
    return total


def test_axes_are_those_in_which_the_values_of_fields_differ_most(shop: Workshop) -> None:
    weight = _table(shop, 4) * torch.tensor([0.1, 2.0, 1.0, 0.5]) + torch.tensor([9.0, 0.0, 0.0, 0.0])
    found, shares = principal_axes(scatter(weight, shop.view().layout, shop.prepared.counts))
    np.testing.assert_allclose(found.T @ found, np.eye(4), atol=1e-12)
    spread = np.array([_spread(shop, weight, torch.from_numpy(axis)) for axis in found.T])
    np.testing.assert_allclose(spread / spread.sum(), shares, rtol=1e-6)
    assert list(spread) == sorted(spread, reverse=True)
    for seed in range(50):
        other = torch.nn.functional.normalize(torch.randn(4, generator=torch.Generator().manual_seed(seed)), dim=0)
        assert _spread(shop, weight, other) <= spread[0] * (1 + 1e-6)
    assert (np.take_along_axis(found, np.abs(found).argmax(axis=0)[None], axis=0) > 0).all()


def test_a_field_that_is_far_away_draws_no_axis_and_a_value_that_is_never_met_neither(shop: Workshop) -> None:
    """A column that is the same for all values of a field tells none of them apart."""
    weight = _table(shop, 3) * torch.tensor([1.0, 0.5, 0.0])
    tokens = [node for node in shop.view().layout.spans.own if not shop.view().layout.is_float(node)]
    weight[shop.view().layout.spans.slice_of(tokens[0]), 2] = 100.0
    weight[np.asarray(shop.prepared.counts) == 0, 2] = 50.0
    _, shares = principal_axes(scatter(weight, shop.view().layout, shop.prepared.counts))
    assert shares[2] < 1e-6


def test_a_wider_student_keeps_the_teachers_columns_and_no_column_is_zero(shop: Workshop, tmp_path: Path) -> None:
    teacher, fresh = _table(shop, 3), _student(shop, 5).embedding.weight.detach().clone()
    started = _started(shop, _student(shop, 5), tmp_path, teacher, 3)
    assert torch.equal(started[:, :3], teacher)
    assert torch.equal(started[:, 3:], fresh[:, 3:] * FAINT)


def test_what_is_projected_is_enlarged_where_it_is_tiny(shop: Workshop, tmp_path: Path) -> None:
    started = _started(shop, _student(shop, 2), tmp_path, _table(shop, 4) * TINY / 10, 4)
    seen = np.asarray(shop.prepared.counts, np.float64)
    typical = np.sqrt(seen @ (started.double().numpy() ** 2).mean(axis=1) / seen.sum())
    assert typical == pytest.approx(UNIT, rel=1e-4)


def test_a_teacher_of_the_students_size_goes_before_the_first(shop: Workshop, tmp_path: Path) -> None:
    model, exact = _student(shop), _table(shop, 4)
    write_tensors(tmp_path / "wide", {TABLE: _table(shop, 8, 1)})
    write_tensors(tmp_path / "exact", {TABLE: exact})
    start_embedding(
        model, [(tmp_path / "wide", 8, None), (tmp_path / "exact", 4, None)], shop.prepared.counts, frozen=False
    )
    assert torch.equal(model.embedding.weight, exact)


def test_a_student_of_another_size_is_distilled_from_its_teachers_axes(
    folder: Path, log_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    students = [{"name": "narrow", "size": 2, "depth": 1}, {"name": "wide", "size": 6, "depth": 1}]
    with caplog.at_level(logging.INFO, "dagfm"):
        run = dagfm.fit(small_config(log_path, student=students), folder / "run", progress=Silent())
    told = [message for message in caplog.messages if "embedding starts from" in message]
    assert told[0].startswith("the student's embedding starts from 2 of a teacher's 4 axes: ")
    assert told[1] == "the student's embedding starts from a teacher's 4 columns, 2 are random"
    assert {one["name"] for one in run.results["frontier"]} == {"narrow", "wide"}
