"""Ids: their number, their popularity and their text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.simulate.columns import cardinalities
from dagfm.data.simulate.ids import Popularity, hexadecimal, scrambled


@given(st.integers(1, 60), st.integers(2, 10_000_000))
def test_fields_share_exactly_as_many_ids_as_asked(fields: int, more: int) -> None:
    ids = 2 * fields + more
    sizes = cardinalities(fields, ids)
    assert len(sizes) == fields
    assert sum(sizes) == ids
    assert min(sizes) >= 2
    assert sizes == sorted(sizes)


def test_their_numbers_are_log_spaced() -> None:
    sizes = np.array(cardinalities(26, 10_000_000))
    steps = np.diff(np.log(sizes[5:]))
    assert sizes[0] == 4
    assert steps.max() / steps.min() < 1.05
    assert cardinalities(3, 6) == [2, 2, 2]
    assert cardinalities(0, 6) == []


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 1.05, 2.0])
@pytest.mark.parametrize("ids", [1, 2, 7, 1000])
def test_ranks_occur_by_their_shares(exponent: float, ids: int) -> None:
    law = Popularity(ids, exponent)
    shares = law.shares(ids)
    assert shares.sum() == pytest.approx(1)
    grid = (np.arange(1_000_000) + 0.5) / 1_000_000
    counts = np.bincount(law.ranks(grid), minlength=ids)
    np.testing.assert_allclose(counts / 1_000_000, shares, atol=3e-6)
    ends = law.ranks(np.array([0.0, np.nextafter(1.0, 0.0)]))
    assert list(ends) == [0, ids - 1]


def test_popularity_falls_as_a_power_of_the_rank() -> None:
    shares = Popularity(100_000, 1.05).shares(100_000)
    ranks = np.arange(100, 100_000)
    slope = np.polyfit(np.log(ranks + 1.0), np.log(shares[ranks]), 1)[0]
    assert slope == pytest.approx(-1.05, abs=0.01)


def test_the_head_of_a_large_field_has_the_shares_of_all() -> None:
    law = Popularity(10_000_000, 1.05)
    np.testing.assert_allclose(law.shares(10), law.shares(1000)[:10])
    assert law.ranks(np.array([0.999999])) < 10_000_000


def test_texts_differ_and_do_not_tell_the_rank() -> None:
    ranks = np.arange(200_000)
    codes = scrambled(ranks, seed=1, field=2)
    assert len(np.unique(codes)) == len(ranks)
    assert abs(np.corrcoef(ranks, codes)[0, 1]) < 0.02
    assert (codes != scrambled(ranks, seed=1, field=3)).mean() > 0.99
    assert (codes != scrambled(ranks, seed=2, field=2)).mean() > 0.99


def test_text_is_the_code_in_hexadecimal() -> None:
    codes = np.array([0, 1, 0xDEADBEEF, 0xFFFFFFFF, 0x00C0FFEE], np.uint32)
    text = [bytes(row).decode() for row in hexadecimal(codes)]
    assert text == ["00000000", "00000001", "deadbeef", "ffffffff", "00c0ffee"]
