"""Encoded rows to logits in the kernel, against look-up and network in float64: every kind of field, odd sizes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.calls import CONNECTS, MESSAGES, Weights
from dagfm.kernel.library import versions
from dagfm.kernel.scoring import FEW, KINDS, Compiled, Source, Sums

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")

MISSING, FIRST = 1, 2


class Case:
    """Drawn weights, a table, fields of given kinds and encoded rows of them."""

    def __init__(self, message, connect, kinds, size, depth, linear=True, first_order=False, seed=0):
        draw = np.random.default_rng(seed)
        fields, pairs = len(kinds), len(kinds) * (len(kinds) + 1) // 2
        self.size, self.depth = size, depth

        def normal(*shape):
            return (draw.normal(size=shape) / np.sqrt(fields)).astype(np.float32)

        self.p, self.q = normal(depth, pairs, size), normal(depth, pairs, size) if message == "outer" else None
        self.c = {"none": None, "causal": normal(pairs), "full": normal(fields, fields)}[connect]
        self.head, self.bias = normal(1, fields * (depth + 1)), normal(1)
        self.message, self.connect, self.linear = message, connect, linear
        self.sources, start, columns = [], 0, {"ids": 0, "items": 0, "numbers": 0}
        for kind in kinds:
            width = int(draw.integers(1, 4)) if kind == "numbers" else 1
            group = kind if kind in columns else "items"
            self.sources.append(Source(kind, start, columns[group], width))
            columns[group] += width
            start += FIRST + 5
        self.columns = columns
        self.table = normal(start, size + first_order)
        weights = Weights(
            message, connect, self.p, fields, self.q, self.c, *((self.head, self.bias) if linear else (None, None))
        )
        self.build = lambda version=None: Compiled(weights, self.table, self.sources, version)

    def rows(self, count, seed=1):
        draw = np.random.default_rng(seed)
        tokens = draw.integers(0, FIRST + 5, (count, self.columns["ids"])).astype(np.int32)
        floats = draw.normal(size=(count, self.columns["numbers"])).astype(np.float32)
        floats[draw.random(floats.shape) < 0.3] = np.nan
        sequences = []
        for _ in range(self.columns["items"]):
            offsets = np.concatenate([[0], np.cumsum(draw.integers(1, 6, count))]).astype(np.int64)
            sequences.append((offsets, draw.integers(0, FIRST + 5, offsets[-1]).astype(np.int32)))
        return tokens, floats, sequences

    def embedded(self, tokens, floats, sequences):
        """(B, F, width) float64: what each field's vector is, said once more."""
        table, found = self.table.astype(np.float64), np.zeros((len(tokens), len(self.sources), self.table.shape[1]))
        for f, (kind, start, column, width) in enumerate(self.sources):
            for row in range(len(tokens)):
                if kind == "ids":
                    found[row, f] = table[start + tokens[row, column]]
                elif kind == "numbers":
                    values = floats[row, column : column + width].astype(np.float64)
                    there = ~np.isnan(values)
                    vectors = table[start + FIRST : start + FIRST + width]
                    found[row, f] = values[there] @ vectors[there] if there.any() else table[start + MISSING]
                else:
                    offsets, ids = sequences[column]
                    found[row, f] = getattr(table[start + ids[offsets[row] : offsets[row + 1]]], kind)(axis=0)
        return found

    def expected(self, rows, absolute=False):
        """Logits, or summed states and first-order parts; ``absolute``: of absolute terms, as rounding is relative."""
        of = (lambda x: None if x is None else np.abs(x.astype(np.float64))) if absolute else (lambda x: x)
        x = of(self.embedded(*rows))
        first = x[:, :, self.size].sum(axis=1) if self.table.shape[1] > self.size else 0.0
        h0, fields = x[:, :, : self.size], len(self.sources)
        if self.connect != "none":
            mix = np.zeros((fields, fields))
            mix[
                np.tril_indices(fields) if self.connect == "causal" else np.indices((fields, fields)).reshape(2, -1)
            ] = 0
            if self.connect == "causal":
                mix[np.tril_indices(fields)] = of(self.c)
            else:
                mix[:] = of(self.c)
            h0 = np.einsum("sf,bfd->bsd", mix, h0)
        h, sums = h0, [h0.sum(axis=2)]
        for layer in range(self.depth):
            total = np.zeros_like(h0)
            for pair, (f, s) in enumerate(zip(*np.triu_indices(fields), strict=True)):
                p = of(self.p[layer, pair])
                if self.message == "inner":
                    total[:, s] += p * h[:, f]
                else:
                    total[:, s] += (h[:, f] @ p)[:, None] * of(self.q[layer, pair])
            h = h0 * total
            sums.append(h.sum(axis=2))
        states = np.concatenate(sums, axis=1)
        if not self.linear:
            return states, first
        return states @ of(self.head)[0].astype(np.float64) + of(self.bias) + first

    def check(self, rows, version=None, threads=1):
        found = self.build(version).score(*rows, threads=threads)
        expected, terms = self.expected(rows), self.expected(rows, absolute=True)
        if self.linear:
            assert found.shape == (len(rows[0]),)
            assert (np.abs(found - expected) <= 2e-6 * terms).all()
            return
        assert isinstance(found, Sums)
        assert (np.abs(found.states - expected[0]) <= 2e-6 * terms[0] + 1e-30).all()
        if self.table.shape[1] == self.size:
            assert found.first is None
        else:
            assert (np.abs(found.first - expected[1]) <= 2e-6 * terms[1]).all()


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
    version=st.sampled_from(versions() or ("",)),
)
def test_any_schema_at_all(message, connect, kinds, size, depth, count, linear, first_order, version):
    case = Case(message, connect, kinds, size, depth, linear, first_order)
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
    for table in (case.table[:, :2], case.table.astype(np.float64), case.table[:0], np.asfortranarray(case.table)):
        with pytest.raises(ValueError, match=r"^table is"):
            Compiled(weights, table, case.sources)
    with pytest.raises(ValueError, match="sources"):
        Compiled(weights, case.table, case.sources[1:])
