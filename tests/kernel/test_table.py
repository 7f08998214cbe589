"""The embedding table in the compiled kernel against NumPy: groups of ids, sums of rows, and steps of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.library import versions
from dagfm.kernel.table import Bags, LookUp, Pooling
from dagfm.training.history import EPSILON, History

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")


def bags_of(lengths, table, random, shares):
    """Bags of so many random ids."""
    ids = random.integers(0, table, sum(lengths))
    offsets = np.cumsum([0, *lengths])
    owners = np.repeat(np.arange(len(lengths)), lengths)
    return Bags(ids, offsets, owners, random.random(len(ids)).astype(np.float32) if shares else None)


@settings(max_examples=60)
@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=40),
    size=st.sampled_from([1, 3, 4, 7, 8, 16, 17, 40]),
    table=st.sampled_from([1, 5, 1000]),
    shares=st.booleans(),
    version=st.sampled_from(versions() or ("",)),
    seed=st.integers(0, 99),
)
def test_rows_are_grouped_pooled_and_moved_as_by_hand(lengths, size, table, shares, version, seed):
    random = np.random.default_rng(seed)
    bags = bags_of(lengths, table, random, shares)
    weight = random.normal(size=(table, size)).astype(np.float32)
    before = weight.copy()
    found = LookUp(weight, bags, version=version)
    assert sorted(found.rows) == sorted(set(bags.ids))
    assert list(found.rows) == list(dict.fromkeys(bags.ids.tolist()))
    share = np.ones(len(bags.ids), np.float32) if bags.shares is None else bags.shares
    expected = np.zeros((len(lengths), size))
    np.add.at(expected, bags.owners, before[bags.ids] * share[:, None])
    np.testing.assert_allclose(found.pooled(), expected, rtol=1e-5, atol=1e-6)

    grad = random.normal(size=(len(lengths), size)).astype(np.float32)
    of_table = np.zeros((table, size))
    np.add.at(of_table, bags.ids, grad[bags.owners] * share[:, None])
    np.testing.assert_allclose(Pooling(weight, bags, version=version).scattered(grad), of_table, rtol=1e-5, atol=1e-6)
    history, last = History(), np.zeros(table, np.int32)
    history.append(0.1)
    found.step("sgd", grad, 1, 0.5, EPSILON, last=last, rates=history.rates, path=history.path)
    moved = np.isin(np.arange(table), bags.ids)
    np.testing.assert_allclose(weight[moved], (before - 0.1 * (of_table + 0.5 * before))[moved], rtol=1e-4, atol=1e-5)
    assert np.array_equal(weight[~moved], before[~moved])
    assert np.array_equal(last, moved)


def test_every_bag_of_one_id_needs_no_offsets():
    weight = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert np.array_equal(LookUp(weight, Bags(np.array([2, 0, 2]))).pooled(), weight[[2, 0, 2]])


@pytest.mark.parametrize("id_", [-1, 4, 2**40])
def test_an_id_that_is_no_row_is_refused(id_):
    weight = np.ones((4, 3), np.float32)
    for form in (Pooling, LookUp):
        with pytest.raises(IndexError, match=f"{id_}.* of a table of 4 rows"):
            form(weight, Bags(np.array([0, id_, 3])))


def test_a_batch_without_ids():
    weight = np.ones((4, 3), np.float32)
    nothing = LookUp(weight, Bags(np.empty(0, np.int64), np.zeros(3, np.int64), np.empty(0, np.int64)))
    assert nothing.pooled().tolist() == [[0, 0, 0], [0, 0, 0]]
    assert len(nothing.rows) == 0
    assert not nothing.scattered(np.ones((2, 3), np.float32)).any()


def test_huge_ids_and_many_equal_ones_are_told_apart():
    random = np.random.default_rng(1)
    ids = np.concatenate([random.integers(0, 3, 5000), random.integers(0, 200_000, 50_000)])
    weight = np.arange(200_000, dtype=np.float32).reshape(-1, 1)
    found = LookUp(weight, Bags(ids))
    assert np.array_equal(found.pooled()[:, 0], ids)
    assert len(found.rows) == len(np.unique(ids))


@pytest.mark.parametrize("rule", ["adam", "adagrad", "sgd"])
def test_threads_do_not_change_a_byte(rule):
    def run(threads):
        random = np.random.default_rng(3)
        weight = random.normal(size=(30_000, 5)).astype(np.float32)
        state = {"mean": np.zeros_like(weight), "square": np.zeros_like(weight), "last": np.zeros(30_000, np.int32)}
        if rule == "adagrad":
            state["square"] = np.zeros(30_000, np.float32)
        average = {"average": np.zeros_like(weight), "averaged": np.zeros(30_000, np.int32)}
        average["average_left"] = (0.9 ** np.arange(100)).astype(np.float32)
        history = History()
        names = ("rates", "path", "mean_fix", "square_fix", "mean_left", "square_left", "mean_run")
        for step in range(4):
            found = LookUp(weight, bags_of([2] * 20_000, 30_000, random, True), threads)
            arrays = state | {name: getattr(history, name) for name in names}
            found.catch_up(rule, step, 1e-3, EPSILON, **arrays)
            pooled = found.pooled()
            history.append(0.01)
            found.step(rule, pooled, step + 1, 1e-3, EPSILON, **arrays, **average)
        return [weight, *state.values(), average["average"]]

    alone, together = run(1), run(3)
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_arrays_of_another_type_are_refused():
    weight = np.ones((4, 3), np.float32)
    with pytest.raises(ValueError, match="ids is int32"):
        LookUp(weight, Bags(np.zeros(2, np.int32)))
    with pytest.raises(ValueError, match="weight is float64"):
        LookUp(weight.astype(float), Bags(np.zeros(2, np.int64)))
    with pytest.raises(ValueError, match="grad is float32"):
        LookUp(weight, Bags(np.zeros(2, np.int64))).step("sgd", np.ones((3, 2), np.float32).T, 1, 0, 0)
