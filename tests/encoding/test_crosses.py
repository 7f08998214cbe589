from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.mapped import blocks
from dagfm.data.staging.crossing import runs
from dagfm.encoding.crosses import NONE, Crosses, HashedCrosses, check_sizes, cross_keys, members_of
from dagfm.errors import InputError
from dagfm.schema import FIRST, MISSING, UNKNOWN


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 3), st.integers(1, 9)), min_size=1))
def test_members_come_back_from_their_key(rows: list[tuple[int, int, int]]) -> None:
    members = [np.array(column) for column in zip(*rows, strict=True)]
    keys = cross_keys(members, (7, 4, 10))
    for mine, theirs in zip(members_of(keys, (7, 4, 10)), members, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert len(set(keys.tolist())) == len(set(rows))


def test_an_unknown_member_makes_the_cross_unknown_a_missing_one_does_not() -> None:
    keys = cross_keys([np.array([UNKNOWN, 2, MISSING, 2]), np.array([2, UNKNOWN, 2, 2])], (5, 5))
    assert keys[:2].tolist() == [NONE, NONE]
    known = Crosses.ranked(keys[2:], np.array([1, 3]), 1, None)
    assert known.encode(keys).tolist() == [UNKNOWN, UNKNOWN, FIRST + 1, FIRST]
    assert HashedCrosses(9).encode(keys)[:2].tolist() == [UNKNOWN, UNKNOWN]
    assert (HashedCrosses(9).encode(keys)[2:] >= FIRST).all()


def test_ranks_thresholds_and_files(tmp_path: Path) -> None:
    keys, counts = np.array([5, 3, 9, 4]), np.array([2, 7, 2, 1])
    known = Crosses.ranked(keys, counts, 2, 2)
    assert known.keys.tolist() == [3, 5] and known.counts.tolist() == [7, 2] and known.rows == FIRST + 2
    assert known.encode(np.array([9, 5, 3, 4, 8])).tolist() == [UNKNOWN, 3, 2, UNKNOWN, UNKNOWN]
    known.write(tmp_path / "cross.parquet")
    again = Crosses.read(tmp_path / "cross.parquet")
    assert again.keys.tolist() == [3, 5] and again.counts.tolist() == [7, 2]
    (tmp_path / "cross.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match=r"cross\.parquet: not the combinations of a cross .*damaged"):
        Crosses.read(tmp_path / "cross.parquet")
    nothing = Crosses.ranked(keys[:0], counts[:0], 1, None)
    assert nothing.encode(np.array([1, 2])).tolist() == [UNKNOWN, UNKNOWN]


def test_more_combinations_than_numbers_are_refused() -> None:
    check_sizes("user_item", [10**9, 9 * 10**9])
    with pytest.raises(InputError, match=r"'user_item': the members .* have 10,000,000,000 x .* rows.*min_count"):
        check_sizes("user_item", [10**10, 10**10])


@given(st.lists(st.integers(-1, 5)), st.integers(1, 4), st.integers(1, 7))
def test_runs_are_counted_across_blocks(values: list[int], least: int, size: int) -> None:
    ordered = np.sort(np.array(values, np.int64))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dagfm.data.staging.crossing.blocks", lambda count: blocks(count, size))
        distinct, counts = runs(ordered, least)
    expected, often = np.unique(ordered[ordered >= 0], return_counts=True)
    np.testing.assert_array_equal(distinct, expected[often >= least])
    np.testing.assert_array_equal(counts, often[often >= least])
