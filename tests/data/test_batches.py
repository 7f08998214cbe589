"""Batches: the rows of the shuffle with everything beside them, weights and recombined rows included."""

from __future__ import annotations

import numpy as np
import pytest

from dagfm.data import batches as batching
from dagfm.data import recombine, shuffle
from dagfm.data.batches import Batches, Pool
from dagfm.data.dataset import Dataset
from dagfm.data.recombine import Recombination, draw_pairs
from dagfm.data.shuffle import Shuffle
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.rows import Rows
from dagfm.schema import Field, Schema

ENCODER = Encoder(Schema.of((Field(name="user", side="context"), Field(name="item", side="candidate"))))
N = 100


def dataset(weights: np.ndarray | None = None) -> Dataset:
    """Row r holds the tokens r and 1000 + r and is a click where r is even."""
    rows = np.arange(N, dtype=np.int32)
    tokens = np.stack([rows, 1000 + rows], axis=1)
    return Dataset(Rows(tokens, np.zeros((N, 0), np.float32), ()), (rows % 2 == 0).astype(np.float32), weights)


@pytest.mark.parametrize("window", [shuffle.WINDOW, 16])
def test_everything_beside_a_row_is_the_rows_own(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(shuffle.Shuffle.__init__, "__defaults__", (window, 4))
    weights = np.linspace(1, 3, N, dtype=np.float32)
    teacher = np.arange(N, dtype=np.float32)
    batches = Batches(dataset(weights), ENCODER, 7, seed=3, teacher=teacher)
    seen = []
    for examples in batches.epoch(1):
        rows = examples.rows.tokens[:, 0]
        seen += rows.tolist()
        assert examples.teacher is not None
        assert examples.weights is not None
        assert np.array_equal(examples.rows.tokens[:, 1], rows + 1000)
        assert np.array_equal(examples.labels, rows % 2 == 0)
        assert np.array_equal(examples.teacher, rows)
        np.testing.assert_allclose(examples.weights, weights[rows] / weights.mean(), rtol=1e-6)
    assert seen == np.concatenate([*Shuffle(N, 3).epoch(1)]).tolist()
    assert len(seen) == N
    assert sorted(seen) == list(range(N))


def test_recombined_rows_come_after_the_labelled_ones_and_every_epoch_takes_fresh_ones() -> None:
    pool = Pool(Recombination(np.arange(150) % N, (np.arange(150) + 50) % N), 500 + np.arange(150, dtype=np.float32))
    weights = np.ones(N, np.float32)
    batches = Batches(dataset(weights), ENCODER, 30, 3, np.arange(N, dtype=np.float32), pool, recombined=0.5)
    slots = []
    for epoch in range(4):
        for examples in batches.epoch(epoch):
            count = len(examples.labels)
            assert examples.teacher is not None
            assert examples.weights is not None
            assert len(examples.weights) == count
            drawn = (examples.teacher[count:] - 500).astype(int)
            assert np.array_equal(examples.rows.tokens[count:, 0], pool.made_of.base[drawn])
            assert np.array_equal(examples.rows.tokens[count:, 1], 1000 + pool.made_of.donor[drawn])
            slots += drawn.tolist()
    assert slots == [slot % 150 for slot in range(200)]


@pytest.mark.parametrize("window", [shuffle.WINDOW, 16])
def test_only_the_rows_that_are_asked_for_come(monkeypatch: pytest.MonkeyPatch, window: int) -> None:
    monkeypatch.setattr(shuffle.Shuffle.__init__, "__defaults__", (window, 4))
    told: list[np.ndarray] = []
    monkeypatch.setattr(batching, "prefetch", lambda rows, indices: told.append(np.asarray(indices)))
    among = np.flatnonzero(np.arange(N) % 3)
    batches = Batches(dataset(), ENCODER, 7, seed=3, among=among)
    assert (batches.per_epoch, batches.rows_per_epoch) == (-(-len(among) // 7), len(among))
    epoch = [*batches.epoch(0)]
    rows = np.concatenate([examples.rows.tokens[:, 0] for examples in epoch])
    assert sorted(rows) == among.tolist()
    assert np.array_equal(np.concatenate([examples.labels for examples in epoch]), rows % 2 == 0)
    assert not told or sorted(np.concatenate(told)) == among.tolist()


def test_pairs_of_few_rows_are_drawn_from_all_of_them() -> None:
    ((context, candidate),) = draw_pairs(N, 1000, seed=9)
    expected = np.random.default_rng(9).integers(0, N, (2, 1000), dtype=np.int32)
    assert np.array_equal([context, candidate], expected)


def test_pairs_of_many_rows_are_drawn_run_by_run_from_rows_that_lie_close(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recombine, "Shuffle", lambda rows, seed: Shuffle(rows, seed, window=1000, block=10))
    runs = list(draw_pairs(10_000, 30_000, seed=9))
    assert [len(context) for context, _ in runs] == [1000] * 30
    for context, candidate in runs:
        # A window of 100 blocks, of the 1000 there are.
        assert len({*(context // 10), *(candidate // 10)}) <= 100
        assert abs(np.corrcoef(context, candidate)[0, 1]) < 0.2
    every = np.concatenate([np.concatenate(pair) for pair in runs])
    times = np.bincount(every, minlength=10_000)
    # Poisson of mean 6.0: all rows alike, none left out of proportion.
    assert times.mean() == pytest.approx(6.0)
    assert times.var() == pytest.approx(6.0, rel=0.15)


def test_the_rows_of_a_pool_are_announced_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots 0 to 199 of a pool of 150 in runs of 40, while the labelled rows come in windows of 25."""
    told: list[np.ndarray] = []
    spans: list[tuple[int, int]] = []
    announce = Pool.announce

    def spied(self: Pool, rows: Rows, begin: int) -> int:
        end = announce(self, rows, begin)
        spans.append((begin, end))
        run = told.pop().reshape(2, -1)
        slots = np.arange(begin, end) % 150
        assert np.array_equal(run[:, : len(slots)], [self.made_of.base[slots], self.made_of.donor[slots]])
        return end

    monkeypatch.setattr(shuffle.Shuffle.__init__, "__defaults__", (25, 4))
    monkeypatch.setattr(batching, "WINDOW", 40)
    monkeypatch.setattr(batching, "prefetch", lambda rows, indices: told.append(np.asarray(indices)))
    monkeypatch.setattr(Pool, "announce", spied)
    pool = Pool(Recombination(np.arange(150) % N, (np.arange(150) + 50) % N), np.zeros(150, np.float32))
    batches = Batches(dataset(), ENCODER, 30, 3, np.zeros(N, np.float32), pool, recombined=2.0)
    assert sum(len(examples.rows) for examples in batches.epoch(0)) == 3 * N
    assert sorted(np.concatenate(told)) == list(range(N))
    assert spans == [(0, 40), (40, 80), (80, 120), (120, 150), (150, 160), (160, 200)]
