"""The order of training rows: complete, repeatable, and as good a mixture as a full permutation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.shuffle import BLOCK, WINDOW, Shuffle

sizes = st.builds(
    Shuffle,
    rows=st.integers(0, 400),
    seed=st.integers(0, 2**40),
    window=st.integers(1, 100),
    block=st.integers(1, 20),
)


def order(shuffle: Shuffle, epoch: int = 0) -> np.ndarray:
    return np.concatenate([*shuffle.epoch(epoch)])


@given(sizes, st.integers(0, 9))
def test_an_epoch_is_every_row_once(shuffle: Shuffle, epoch: int) -> None:
    assert np.array_equal(np.sort(order(shuffle, epoch)), np.arange(shuffle.rows))


@given(sizes, st.integers(0, 9), st.integers(1, 70), st.data())
def test_an_epoch_goes_on_from_any_batch(shuffle: Shuffle, epoch: int, size: int, data: st.DataObject) -> None:
    whole = list(shuffle.batches(epoch, size))
    assert [len(batch) for batch in whole[:-1]] == [size] * (len(whole) - 1)
    assert len(whole) == -(-shuffle.rows // size)
    start = data.draw(st.integers(0, len(whole)))
    rest = list(shuffle.batches(epoch, size, start))
    assert [batch.tolist() for batch in rest] == [batch.tolist() for batch in whole[start:]]


@given(st.integers(0, 300), st.integers(0, 2**40), st.integers(0, 5))
def test_rows_that_fit_one_window_have_the_order_of_one_permutation(rows: int, seed: int, epoch: int) -> None:
    expected = np.random.default_rng([seed, epoch]).permutation(rows)
    assert np.array_equal(order(Shuffle(rows, seed), epoch), expected)
    assert np.array_equal(order(Shuffle(rows, seed, window=300), epoch), expected)


@given(sizes, st.integers(0, 9))
def test_nearby_rows_of_consecutive_runs_are_an_epochs_rows(shuffle: Shuffle, epoch: int) -> None:
    runs = [shuffle.nearby(epoch * shuffle.windows + index) for index in range(shuffle.windows)]
    assert all((np.diff(run) > 0).all() for run in runs)
    assert np.array_equal(np.sort(np.concatenate(runs)), np.arange(shuffle.rows))


LARGE = Shuffle(rows=300_000, seed=5, window=30_000)
"""Ten windows of 469 blocks: the proportions of ten million rows, but a thirtieth of the blocks in a window."""


def test_epochs_differ_and_so_do_seeds() -> None:
    first = order(LARGE)
    for other in (order(LARGE, 1), order(Shuffle(300_000, 6, 30_000))):
        # Two random orders of n rows agree in one place on average.
        assert (first == other).sum() < 12


def test_a_row_meets_others_in_every_epoch() -> None:
    def company(epoch: int) -> set[int]:
        return set(next(batch for batch in LARGE.batches(epoch, 4096) if 777 in batch).tolist())

    # Beyond its block, the rows that two batches of 4096 of 300,000 share by chance: 56 on average.
    assert len(company(0) & company(1)) < 56 + BLOCK + 5 * np.sqrt(56 + BLOCK)


def test_rows_from_all_over_the_file_meet_in_one_batch() -> None:
    for batch in list(LARGE.batches(0, 4096))[:-1]:
        tenths = np.bincount(batch * 10 // LARGE.rows, minlength=10) / len(batch)
        assert tenths.min() > 0.05
        assert tenths.max() < 0.16


def test_place_in_the_file_and_in_the_order_are_unrelated() -> None:
    for epoch in range(3):
        place = order(LARGE, epoch)
        assert abs(np.corrcoef(place, np.arange(len(place)))[0, 1]) < 0.02
        # Neighbours in the order are no neighbours in the file.
        assert abs(np.corrcoef(place[1:], place[:-1])[0, 1]) < 0.02


@pytest.mark.parametrize("clicks", [0.02, 0.5])
def test_batches_of_sorted_rows_are_nearly_as_even_as_after_a_full_permutation(clicks: float) -> None:
    """Sorted by label is the worst case: all rows of a block are the same."""
    rows, size = 4 * WINDOW, 4096
    labels = (np.arange(rows) < clicks * rows).astype(np.float32)
    rates = [float(labels[batch].mean()) for batch in Shuffle(rows, seed=1).batches(0, size)]
    assert np.std(rates) < 1.2 * np.sqrt(clicks * (1 - clicks) / size)


def test_batches_of_rows_in_order_of_time_are_as_even_as_after_a_full_permutation() -> None:
    rows, size = 4 * WINDOW, 4096
    means = [float((batch / rows).mean()) for batch in Shuffle(rows, seed=2).batches(0, size)]
    assert np.std(means) < 1.2 * np.sqrt(1 / 12 / size)
