"""The blended loss against its definition, row by row."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.batches import Examples
from dagfm.encoding.rows import Rows
from dagfm.training.losses import blended_loss, terms_of

numbers = st.floats(-5, 5)
rows = st.lists(st.tuples(numbers, st.integers(0, 1), numbers, st.integers(0, 4)), min_size=1, max_size=12)
pairs = st.lists(st.tuples(numbers, numbers), max_size=8)


def tensors(*columns: list[float]) -> list[torch.Tensor]:
    return [torch.tensor(column, dtype=torch.float64) for column in columns]


@given(rows, pairs, st.floats(0, 2), st.floats(0, 2))
def test_it_is_the_definition(
    labelled: list[tuple[float, int, float, int]], recombined: list[tuple[float, float]], alpha: float, beta: float
) -> None:
    clicks = sum(w * math.log1p(math.exp(-z if y else z)) for z, y, _, w in labelled) / len(labelled)
    terms = [w * (t - z) ** 2 for z, _, t, w in labelled] + [(t - z) ** 2 for z, t in recombined]
    logits, labels, teacher, weights = tensors(
        [row[0] for row in labelled] + [pair[0] for pair in recombined],
        [row[1] for row in labelled],
        [row[2] for row in labelled] + [pair[1] for pair in recombined],
        [row[3] for row in labelled],
    )
    found = float(blended_loss(logits, labels, teacher, alpha, beta, weights))
    assert found == pytest.approx(alpha * clicks + beta * sum(terms) / len(terms), rel=1e-9, abs=1e-9)


@given(rows, st.floats(0.1, 2), st.floats(0.1, 2))
def test_a_weight_of_k_moves_the_model_as_k_copies_do(
    labelled: list[tuple[float, int, float, int]], alpha: float, beta: float
) -> None:
    """Up to the number of rows, which is all that the mean divides by."""
    weights = torch.tensor([row[3] for row in labelled])
    logits, labels, teacher = tensors(*([row[index] for row in labelled] for index in range(3)))
    copies = [column.repeat_interleave(weights) for column in (logits, labels, teacher)]
    weighted = blended_loss(logits, labels, teacher, alpha, beta, weights.double()) * len(labels)
    assert float(weighted) == pytest.approx(
        float(blended_loss(*copies, alpha, beta)) * len(copies[0]) if len(copies[0]) else 0.0, rel=1e-9, abs=1e-9
    )


@given(rows)
def test_weights_of_one_are_no_weights(labelled: list[tuple[float, int, float, int]]) -> None:
    logits, labels, teacher = tensors(*([row[index] for row in labelled] for index in range(3)))
    ones = torch.ones_like(labels)
    expected = float(blended_loss(logits, labels, teacher, 0.5, 2.0))
    assert float(blended_loss(logits, labels, teacher, 0.5, 2.0, ones)) == pytest.approx(expected, rel=1e-12)


def test_a_teacher_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="no teacher logits"):
        blended_loss(torch.zeros(2), torch.zeros(2), None, 1.0, 0.5)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("known", ["all", "some", "none"])
@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 0.0), (0.0, 1.0), (0.3, 2.0)])
def test_terms_add_up_to_it(alpha: float, beta: float, known: str, weighted: bool) -> None:
    random = np.random.default_rng(3)
    count, behind = 6, 4 if beta else 0
    labelled = {"all": None, "some": np.arange(count) % 2 == 0, "none": np.zeros(count, bool)}[known]
    labels = random.random(count).round().astype(np.float32)
    if labelled is not None:
        labels[~labelled] = np.nan
    logits, teacher = random.normal(size=(2, count + behind)).astype(np.float32)
    weights = random.random(count).astype(np.float32) if weighted else None
    rows = Rows(np.zeros((count + behind, 1), np.int32), np.empty((count + behind, 0), np.float32), ())
    terms = terms_of(Examples(rows, labels, teacher, weights, labelled), alpha, beta)
    found = 0.0
    if terms.of_clicks is not None and terms.labels is not None:
        clicks = np.log1p(np.exp(-logits)) + logits * (1 - np.nan_to_num(terms.labels))
        found += float(terms.of_clicks @ clicks)
    if terms.of_distances is not None and terms.teacher is not None:
        found += float(terms.of_distances @ (logits - terms.teacher) ** 2)
    given = (None if one is None else torch.from_numpy(one) for one in (weights, labelled))
    expected = blended_loss(*map(torch.from_numpy, (logits, labels, teacher)), alpha, beta, *given)
    assert found == pytest.approx(float(expected), rel=1e-5, abs=1e-7)
