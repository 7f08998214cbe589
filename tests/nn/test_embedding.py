"""The embedding against a loop over cells, its gradient, its initialisation and the rows training never sees."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.rows import Ragged, Rows
from dagfm.encoding.spans import Spans
from dagfm.nn.batch import Layout
from dagfm.nn.embedding import Embedding
from dagfm.schema import MISSING, Field, Schema

MIXED = Schema.of(
    (
        Field(name="a"),
        Field(name="s", type="token_seq", pooling="sum"),
        Field(name="x", type="float"),
        Field(name="m", type="token_seq", pooling="mean"),
        Field(name="v", type="float_seq", size=3),
        Field(name="b"),
    )
)
ROWS_OF = np.array([5, 6, 3, 4, 5, 7])
OFFSETS = np.concatenate([[0], np.cumsum(ROWS_OF)])


def layout_of(schema: Schema, offsets: np.ndarray) -> Layout:
    """Fields whose rows lie one after the other."""
    return Layout(schema, Spans(offsets[:-1], np.diff(offsets)))


def mixed_rows(count: int, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)

    def ragged(rows: int) -> Ragged:
        lengths = random.integers(1, 4, count)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        return Ragged(offsets, random.integers(0, rows, offsets[-1]).astype(np.int32))

    floats = random.normal(size=(count, 4)).astype(np.float32)
    floats[::3, 0] = np.nan  # missing
    floats[1::3, 1:] = np.nan  # missing
    floats[2::3, 2] = np.nan  # one component missing
    tokens = np.stack([random.integers(0, 5, count), random.integers(0, 7, count)], axis=1).astype(np.int32)
    return Rows(tokens, floats, (ragged(6), ragged(4)))


def by_hand(table: np.ndarray, rows: Rows, row: int) -> np.ndarray:
    """The six vectors of one row, cell by cell."""

    def of(node: int, index: int) -> np.ndarray:
        return table[OFFSETS[node] + index]

    def items(sequence: Ragged) -> list[int]:
        return sequence.values[sequence.offsets[row] : sequence.offsets[row + 1]].tolist()

    summed = sum(of(1, item) for item in items(rows.sequences[0]))
    mean = sum(of(3, item) for item in items(rows.sequences[1])) / len(items(rows.sequences[1]))
    number, vector = rows.floats[row, 0], rows.floats[row, 1:]
    price = of(2, 1) if math.isnan(number) else number * of(2, 2)
    if np.isnan(vector).all():
        position = of(4, 1)
    else:
        position = sum((0.0 if math.isnan(value) else value) * of(4, 2 + k) for k, value in enumerate(vector))
    return np.stack([of(0, rows.tokens[row, 0]), summed, price, mean, position, of(5, rows.tokens[row, 1])])


@pytest.mark.parametrize("count", [0, 1, 2, 9])
@pytest.mark.parametrize("kind", [torch.float64, torch.float32])  # in torch, and in the kernel where it is built
def test_every_type_of_field_is_looked_up_as_by_hand(count: int, kind: torch.dtype) -> None:
    layout, rows = layout_of(MIXED, OFFSETS), mixed_rows(count)
    embedding = Embedding(layout, 3).to(kind)
    torch.nn.init.normal_(embedding.weight)
    table = embedding.weight.detach().numpy()
    expected = np.array([by_hand(table, rows, row) for row in range(count)]).reshape(count, 6, 3)
    tolerance = 1e-7 if kind == torch.float64 else 2e-6
    np.testing.assert_allclose(embedding(layout.batch(rows)).detach().numpy(), expected, atol=tolerance)


def test_the_gradient_of_the_table_does_not_depend_on_the_kind_of_number() -> None:
    layout, rows = layout_of(MIXED, OFFSETS), mixed_rows(40)
    slopes = torch.randn(40, 6, 3, generator=torch.Generator().manual_seed(1))
    gradients = []
    for kind in (torch.float64, torch.float32):
        embedding = Embedding(layout, 3).to(kind)
        torch.nn.init.zeros_(embedding.weight)
        (embedding(layout.batch(rows)) * slopes).sum().backward()
        assert embedding.weight.grad is not None
        gradients.append(embedding.weight.grad.numpy())
    np.testing.assert_allclose(gradients[1], gradients[0], atol=1e-5)


def pooled_schema(poolings: list[str | None]) -> Schema:
    """A token field for None, a token_seq field for each pooling."""
    return Schema.of(
        tuple(
            Field(name=str(node)) if pooling is None else Field(name=str(node), type="token_seq", pooling=pooling)  # type: ignore[arg-type]
            for node, pooling in enumerate(poolings)
        )
    )


@given(
    st.lists(st.sampled_from(["max", "max", "sum", "mean", None]), min_size=1, max_size=4),
    st.integers(0, 5),
    st.integers(0, 2**32 - 1),
)
def test_a_maximum_is_that_of_each_number_and_its_gradient_goes_to_the_first_that_has_it(
    poolings: list[str | None], count: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    layout = layout_of(pooled_schema(poolings), np.arange(len(poolings) + 1) * 6)
    sequences = []
    for pooling in poolings:
        if pooling is not None:
            lengths = random.integers(1, 5, count)
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            sequences.append(Ragged(offsets, random.integers(0, 6, offsets[-1]).astype(np.int32)))
    tokens = random.integers(0, 6, (count, poolings.count(None))).astype(np.int32)
    rows = Rows(tokens, np.zeros((count, 0), np.float32), tuple(sequences))
    # Few different numbers, so that many are equal.
    table = torch.tensor(random.integers(-2, 3, (len(poolings) * 6, 3)), dtype=torch.float64, requires_grad=True)
    embedding = Embedding(layout, 3)
    found = torch.func.functional_call(embedding, {"weight": table}, (layout.batch(rows),))
    slopes = torch.tensor(random.normal(size=(count, len(poolings), 3)))
    gradient = np.zeros(table.shape)
    for row in range(count):
        ids, ragged = iter(tokens[row]), iter(sequences)
        for node, pooling in enumerate(poolings):
            if pooling is None:
                items = np.array([next(ids)]) + 6 * node
            else:
                sequence = next(ragged)
                items = sequence.values[sequence.offsets[row] : sequence.offsets[row + 1]] + 6 * node
            vectors = table.detach().numpy()[items]
            slope = slopes[row, node].numpy()
            if pooling == "max":
                expected = vectors.max(0)
                for number, first in enumerate(vectors.argmax(0)):
                    gradient[items[first], number] += slope[number]
            else:
                share = 1 / len(items) if pooling == "mean" else 1.0
                expected = vectors.sum(0) * share
                np.add.at(gradient, items, slope * share)
            np.testing.assert_allclose(found[row, node].detach().numpy(), expected, atol=1e-6)
    (found * slopes).sum().backward()
    np.testing.assert_allclose(table.grad.numpy(), gradient, atol=1e-6)  # type: ignore[union-attr]


def test_an_empty_sequence_is_its_missing_row_under_a_maximum_too() -> None:
    layout = layout_of(pooled_schema(["max"]), np.array([0, 6]))
    embedding = Embedding(layout, 2)
    torch.nn.init.normal_(embedding.weight)
    sequence = Ragged(np.array([0, 1, 3]), np.array([MISSING, 2, 3], np.int32))
    rows = Rows(np.zeros((2, 0), np.int32), np.zeros((2, 0), np.float32), (sequence,))
    found = embedding(layout.batch(rows))
    torch.testing.assert_close(found[0, 0], embedding.weight[MISSING])
    torch.testing.assert_close(found[1, 0], torch.maximum(embedding.weight[2], embedding.weight[3]))


def test_tokens_alone_take_the_short_way_to_the_same_vectors() -> None:
    schema = Schema.of((Field(name="a"), Field(name="b")))
    layout = layout_of(schema, np.array([0, 4, 9]))
    rows = Rows(np.array([[1, 4], [3, 0]], np.int32), np.zeros((2, 0), np.float32), ())
    embedding = Embedding(layout, 2)
    torch.nn.init.normal_(embedding.weight)
    batch = layout.batch(rows)
    assert batch.owners is None
    torch.testing.assert_close(embedding(batch), embedding.weight[torch.tensor([[1, 8], [3, 4]])])


def test_the_gradient_is_exact() -> None:
    layout = layout_of(MIXED, OFFSETS)
    embedding, batch = Embedding(layout, 2).double(), layout.batch(mixed_rows(5))
    torch.nn.init.normal_(embedding.weight)

    def looked_up(table: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(embedding, {"weight": table}, (batch,)) ** 2

    assert torch.autograd.gradcheck(looked_up, (embedding.weight.detach().requires_grad_(),), atol=1e-4)


def test_rows_that_training_never_sees_become_the_weighted_mean_and_floats_their_mean_value() -> None:
    layout = layout_of(MIXED, OFFSETS)
    embedding = Embedding(layout, 2)
    torch.nn.init.normal_(embedding.weight)
    before = embedding.weight.detach().clone()
    counts = np.ones(OFFSETS[-1], np.int64)
    counts[:5] = [0, 0, 3, 1, 0]
    counts[OFFSETS[2] : OFFSETS[3]] = [0, 0, 4]
    embedding.fill_untrained(layout, counts)
    mean = (3 * before[2] + before[3]) / 4
    torch.testing.assert_close(embedding.weight[[0, 1, 4]], mean.expand(3, 2))
    assert embedding.weight[OFFSETS[2] : OFFSETS[2] + 2].abs().max() == 0
    trained = counts > 0
    torch.testing.assert_close(embedding.weight[trained], before[trained])


def test_the_reference_draws_all_tokens_as_one_table_and_each_sequence_as_its_own() -> None:
    schema = Schema.of((Field(name="a"), Field(name="b"), Field(name="s", type="token_seq")))
    layout = layout_of(schema, np.array([0, 20_000, 50_000, 52_000]))
    embedding = Embedding(layout, 16)
    embedding.reset_parameters(schema, layout, torch.Generator().manual_seed(0), reference=True)
    assert embedding.weight[:50_000].std().item() == pytest.approx(math.sqrt(2 / 50_016), rel=0.02)
    assert embedding.weight[50_000:].std().item() == pytest.approx(math.sqrt(2 / 2_016), rel=0.02)
