"""Ranking in the kernel against scoring every candidate's row: the same numbers, whatever the sizes."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from drawn import Case
from hypothesis import given, settings
from hypothesis import strategies as st

from dagfm.kernel.calls import Weights
from dagfm.kernel.library import versions
from dagfm.kernel.ranking import Ranker, falling
from dagfm.kernel.scoring import KINDS
from dagfm.serving.quantised import KINDS as STORED

pytestmark = pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")


def check(case: Case, contexts: int, many: int, count: int, version: str | None = None) -> None:
    """Every candidate in every context against its row in float64."""
    weights = Weights(case.message, case.connect, case.p, len(case.sources), case.q, case.c, case.head, case.bias)
    ranker = Ranker(weights, case.stored, case.sources, contexts, version)
    first, others = case.rows(many, seed=2), case.rows(count, seed=3)
    kept = ranker.contexts(*first)
    ways = ranker.logits(kept, ranker.candidates(*others)), ranker.once(kept, *others)
    for row in range(many):
        merged = merge(case, first, row, others, contexts)
        expected, terms = case.expected(merged), case.expected(merged, absolute=True)
        for found in ways:
            assert found.shape == (many, count)
            assert (np.abs(found[row] - expected) <= 2e-6 * terms).all()


def merge(case, first, row, others, contexts):
    """The rows of candidates with the context's columns of a row."""
    (tokens, floats, sequences), count = (
        (part.copy() if hasattr(part, "copy") else part for part in others),
        len(others[0]),
    )
    sequences = list(sequences)
    for kind, _, column, width in case.sources[:contexts]:
        if kind == "ids":
            tokens[:, column] = first[0][row, column]
        elif kind == "numbers":
            floats[:, column : column + width] = first[1][row, column : column + width]
        else:
            offsets, ids = first[2][column]
            own = ids[offsets[row] : offsets[row + 1]]
            sequences[column] = np.arange(count + 1) * len(own), np.tile(own, count)
    return tokens, floats, sequences


ALL_KINDS = [*KINDS, "ids", "numbers", "max", "ids"]


@pytest.mark.parametrize("version", versions())
@pytest.mark.parametrize("connect", ["none", "causal"])
@pytest.mark.parametrize("message", ["inner", "outer"])
def test_candidates_score_as_their_rows_do(message, connect, version):
    for size in (1, 3, 8, 16, 21, 40):
        for contexts in (1, 4, len(ALL_KINDS) - 1):
            case = Case(message, connect, ALL_KINDS, size, 3, first_order=size % 2 == 1, seed=size)
            for count in (13, 75):
                check(case, contexts, 2, count, version)


@settings(max_examples=60)
@given(
    message=st.sampled_from(["inner", "outer"]),
    connect=st.sampled_from(["none", "causal"]),
    kinds=st.lists(st.sampled_from(KINDS), min_size=2, max_size=12),
    share=st.floats(0, 1),
    size=st.integers(1, 40),
    depth=st.integers(1, 4),
    many=st.integers(0, 3),
    count=st.integers(0, 20) | st.integers(40, 60),
    first_order=st.booleans(),
    stored=st.sampled_from(STORED),
    version=st.sampled_from(versions() or ("",)),
)
def test_any_schema_at_all(message, connect, kinds, share, size, depth, many, count, first_order, stored, version):
    contexts = 1 + int(share * (len(kinds) - 2))
    case = Case(message, connect, kinds, size, depth, first_order=first_order, stored=stored)
    check(case, contexts, many, count, version)


def test_other_networks_and_ids_beyond_the_table_are_refused():
    case = Case("inner", "causal", ALL_KINDS, 4, 1)
    weights = Weights("inner", "causal", case.p, len(ALL_KINDS), None, case.c, case.head, case.bias)
    for contexts in (0, len(ALL_KINDS)):
        with pytest.raises(ValueError, match="fields of the context"):
            Ranker(weights, case.stored, case.sources, contexts)
    with pytest.raises(ValueError, match="expected connect none or causal"):
        Ranker(Weights("inner", "causal", case.p, len(ALL_KINDS), None, case.c), case.stored, case.sources, 2)
    ranker = Ranker(weights, case.stored, case.sources, 2)
    tokens, floats, sequences = case.rows(9)
    tokens[8] = 2**31 - 1
    kept = ranker.contexts(*case.rows(2))
    for keep in (ranker.contexts, ranker.candidates, partial(ranker.once, kept)):
        with pytest.raises(IndexError):
            keep(tokens, floats, sequences)
        with pytest.raises(ValueError, match="offsets do not cut"):
            keep(tokens, floats, [(offsets[::-1].copy(), ids) for offsets, ids in sequences])


SOME = st.sampled_from([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45])


@given(st.lists(SOME | st.floats(width=32), max_size=40))
def test_the_order_is_that_of_a_stable_sort_and_what_is_no_number_comes_last(values):
    values = np.array(values, np.float32)
    assert falling(values).tolist() == np.argsort(-values, kind="stable").tolist()


def test_the_order_of_many():
    values = np.random.default_rng(0).normal(size=5000).astype(np.float32).round(2)
    assert (falling(values) == np.argsort(-values, kind="stable")).all()
    assert (falling(values[::3]) == np.argsort(-values[::3], kind="stable")).all()
