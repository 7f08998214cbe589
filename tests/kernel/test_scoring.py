"""Encoded rows to logits in the kernel, against look-up and network in float64: every kind of field, odd sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawn import Case
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.calls import CONNECTS, MESSAGES, Weights
from dagfm.kernel.library import versions
from dagfm.kernel.scoring import FEW, KINDS, Compiled, Table
from dagfm.serving.quantised import KINDS as STORED

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")

ALL_KINDS = [*KINDS, "ids", "numbers", "ids"]


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("connect", CONNECTS)
@pytest.mark.parametrize("message", MESSAGES)
def test_logits_of_every_kind_of_field_are_those_of_float64(message, connect, linear, version):
    for size in (1, 3, 8, 16, 21):
        for count in (1, 2, 7, 50):
            case = Case(message, connect, ALL_KINDS, size, 2, linear, first_order=size % 2 == 1, seed=size)
            case.check(case.rows(count), version)


@settings(max_examples=60)
@given(
    message=st.sampled_from(MESSAGES),
    connect=st.sampled_from(CONNECTS),
    kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12),
    size=st.integers(1, 40),
    depth=st.integers(1, 4),
    count=st.integers(0, 130),
    linear=st.booleans(),
    first_order=st.booleans(),
    stored=st.sampled_from(STORED),
    version=st.sampled_from(versions() or ("",)),
)
def test_any_schema_at_all(message, connect, kinds, size, depth, count, linear, first_order, stored, version):
    case = Case(message, connect, kinds, size, depth, linear, first_order, stored=stored)
    case.check(case.rows(count), version)


@pytest.mark.parametrize("message", MESSAGES)
def test_many_fields(message):
    case = Case(message, "causal", ["ids"] * 39, 16, 3)
    for count in (1, 6, 20):
        case.check(case.rows(count))


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("message", MESSAGES)
def test_no_rows_have_no_logits(message, linear):
    case = Case(message, "full", ALL_KINDS, 5, 2, linear)
    case.check(case.rows(0))


@pytest.mark.parametrize("message", MESSAGES)
def test_threads_of_the_kernel_and_of_the_caller_agree_with_one(message):
    case = Case(message, "causal", ALL_KINDS * 3, 16, 3)
    rows = case.rows(3001)
    compiled = case.build()
    alone = compiled.score(*rows, threads=1)
    terms = case.expected(rows, absolute=True)
    assert (np.abs(compiled.score(*rows, threads=3) - alone) <= 2e-6 * terms).all()

    def one_by_one(row):
        tokens, floats, sequences = rows
        one = [(np.array([0, end - start]), ids[start:end]) for start, end, ids in cut(sequences, row)]
        return compiled.score(tokens[row : row + 1], floats[row : row + 1], one)[0]

    with ThreadPoolExecutor(4) as pool:
        found = np.array(list(pool.map(one_by_one, range(300))))
    assert (np.abs(found - alone[:300]) <= 2e-6 * terms[:300]).all()


def cut(sequences, row):
    return [(offsets[row], offsets[row + 1], ids) for offsets, ids in sequences]


@pytest.mark.parametrize("count", [1, FEW, FEW + 1, 500])
def test_results_stay_when_the_next_rows_are_scored(count):
    case = Case("inner", "none", ALL_KINDS, 4, 1, linear=False, first_order=True)
    compiled = case.build()
    rows = case.rows(count)
    found = compiled.score(*rows)
    kept = found.states.copy(), found.first.copy()
    compiled.score(*case.rows(count, seed=2))
    assert np.array_equal(found.states, kept[0])
    assert np.array_equal(found.first, kept[1])


@pytest.mark.parametrize("count", [3, 200])
def test_columns_of_a_wider_array_need_no_copy_by_the_caller(count):
    case = Case("outer", "causal", ALL_KINDS, 6, 2)
    tokens, floats, sequences = case.rows(count)
    wide = np.asfortranarray(np.concatenate([tokens, tokens], axis=1))
    compiled = case.build()
    expected = compiled.score(tokens, floats, sequences)
    found = compiled.score(wide[:, : tokens.shape[1]], np.asfortranarray(floats), sequences)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("count", [2, 300])
def test_ids_beyond_the_table_are_refused_not_read(count, version):
    case = Case("inner", "none", ALL_KINDS, 4, 1)
    compiled = case.build(version)
    tokens, floats, sequences = case.rows(count)
    for bad in (-1000, len(case.table), 2**31 - 1, -(2**31)):
        broken = tokens.copy()
        broken[count - 1, 0] = bad
        with pytest.raises(IndexError, match=f"an id is beyond the table's {len(case.table)} rows"):
            compiled.score(broken, floats, sequences)
        ids = sequences[1][1].copy()
        ids[-1] = bad
        with pytest.raises(IndexError):
            compiled.score(tokens, floats, [sequences[0], (sequences[1][0], ids), sequences[2]])
    assert np.isfinite(compiled.score(tokens, floats, sequences)).all()


@pytest.mark.parametrize("count", [3, 200])
def test_sequences_that_are_cut_wrong_are_refused(count):
    case = Case("inner", "none", ["sum", "ids"], 4, 1)
    compiled = case.build()
    tokens, floats, ((offsets, ids),) = case.rows(count)
    empty, late, long = offsets.copy(), offsets + 1, offsets.copy()
    empty[1] = 0
    long[-1] += 1
    for bad in (empty, late, long, offsets[::-1].copy()):
        with pytest.raises(ValueError, match="offsets do not cut"):
            compiled.score(tokens, floats, [(bad, ids)])
    with pytest.raises(ValueError, match="offsets, expected"):
        compiled.score(tokens, floats, [(offsets[:-1], ids)])


def test_arrays_that_do_not_fit_are_refused():
    case = Case("inner", "none", ALL_KINDS, 4, 1)
    compiled = case.build()
    tokens, floats, sequences = case.rows(5)
    for bad in ((tokens[:, 1:], floats, sequences), (tokens, floats[:3], sequences), (tokens, floats, sequences[1:])):
        with pytest.raises(ValueError, match="of as many rows"):
            compiled.score(*bad)
    weights = Weights("inner", "none", case.p, len(ALL_KINDS))
    rows = case.table
    for table in (rows.astype(np.float64), rows[:0], np.asfortranarray(rows), rows[0]):
        with pytest.raises(ValueError, match=r"^table is"):
            Table(table)
    for table in (Table(rows[:, :2].copy()), Table(np.zeros((5, 6), np.float32))):
        with pytest.raises(ValueError, match="expected 4 or 5 columns"):
            Compiled(weights, table, case.sources)
    with pytest.raises(ValueError, match="sources"):
        Compiled(weights, case.stored, case.sources[1:])
    small = rows.astype(np.int8)
    for scales in (None, np.ones(len(rows), np.float32), np.ones(3, np.float16)):
        with pytest.raises(ValueError, match="scales"):
            Table(small, scales)
    with pytest.raises(ValueError, match="scales"):
        Table(rows, np.ones(len(rows), np.float16))


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("stored", STORED)
def test_smaller_tables_are_read_as_they_lie(stored, version):
    """To the last row: nothing past the table's end is read, and half floats of every size mean what they mean."""
    for size in (1, 3, 16, 21, 40):
        case = Case("inner", "causal", ALL_KINDS, size, 2, first_order=size % 2 == 1, stored=stored)
        case.check(case.rows(50), version)
    odd = np.array([0.0, -0.0, 6e-8, -6e-8, 6.1e-5, 1.0, -1.5, 65504, -65504, 3.3e-6], np.float16)
    case = Case("inner", "none", ["ids"], 10, 1)
    weights = Weights("inner", "none", case.p, 1, None, None, case.head, case.bias)
    whole = Compiled(weights, Table(odd.astype(np.float32)[None]), case.sources, version)
    half = Compiled(weights, Table(odd[None]), case.sources, version)
    one = np.zeros((1, 1), np.int32), np.zeros((1, 0), np.float32)
    assert np.array_equal(half.score(*one), whole.score(*one))
