import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data.split import (
    OUT,
    PARTS,
    TEST,
    TRAIN,
    VALID,
    check_parts,
    column_parts,
    group_parts,
    random_parts,
    time_parts,
)
from dagfm.errors import InputError

RATIOS = (0.8, 0.1, 0.1)


def randomly(n: int, ratios: tuple[float, float, float], seed: int) -> np.ndarray:
    parts = np.full(n, 9, np.uint8)
    random_parts(parts, np.empty(n, np.int32), ratios, seed)
    return parts


def in_time(times: list[float], ratios: tuple[float, float, float] = RATIOS, gap: float = 0.0) -> list[int]:
    parts = np.full(len(times), 9, np.uint8)
    time_parts(parts, np.array(times), np.empty(len(times)), ratios, gap)
    return parts.tolist()


def test_the_published_protocol() -> None:
    parts = randomly(739_012, RATIOS, 2022)
    assert np.bincount(parts).tolist() == [591_210, 73_901, 73_901]
    order = np.random.default_rng(2022).permutation(739_012)
    assert (parts[order[:73_901]] == TEST).all()
    assert (parts[order[73_901 : 2 * 73_901]] == VALID).all()
    assert (parts[order[2 * 73_901 :]] == TRAIN).all()


@pytest.mark.parametrize(
    ("n", "ratios", "sizes"),
    [(100, (0.42, 0.29, 0.29), [42, 29, 29]), (10, (0.4, 0.3, 0.3), [4, 3, 3]), (3, (0.2, 0.4, 0.4), [1, 1, 1])],
)
def test_sizes_are_what_the_shares_say(n: int, ratios: tuple[float, float, float], sizes: list[int]) -> None:
    assert np.bincount(randomly(n, ratios, 0), minlength=3).tolist() == sizes
    assert np.bincount(in_time(list(range(n)), ratios), minlength=3).tolist() == sizes


def test_the_last_rows_in_time_are_test() -> None:
    assert in_time([5, 1, 9, 2, 3, 4, 6, 7, 8, 0]) == [0, 0, TEST, 0, 0, 0, 0, 0, VALID, 0]


def test_rows_of_one_time_are_in_one_part() -> None:
    parts = in_time([0, 0, 0, 1, 1, 1, 1, 2, 2, 2], (0.5, 0.2, 0.3))
    assert parts == [TRAIN] * 3 + [VALID] * 4 + [TEST] * 3


def test_a_gap_leaves_rows_out() -> None:
    assert in_time(list(range(10)), (0.6, 0.2, 0.2), gap=1.5) == [0, 0, 0, 0, 0, OUT, VALID, OUT, TEST, TEST]


@given(st.lists(st.integers(0, 20), min_size=1, max_size=60), st.floats(0, 5))
def test_no_training_row_is_later_than_a_test_row(times: list[int], gap: float) -> None:
    parts = np.array(in_time([float(time) for time in times], (0.5, 0.25, 0.25), gap))
    when = np.array(times)
    for earlier, later in ((TRAIN, VALID), (TRAIN, TEST), (VALID, TEST)):
        if (parts == earlier).any() and (parts == later).any():
            before, after = when[parts == earlier].max(), when[parts == later].min()
            assert before < after and before < after - gap + 1e-9


def test_a_group_is_in_one_part_whatever_else_there_is() -> None:
    groups = pl.Series([f"g{index % 500}" for index in range(5000)])
    parts = group_parts(groups, RATIOS, 7)
    assert all(len(set(parts[index::500])) == 1 for index in range(500))
    np.testing.assert_allclose(np.bincount(parts) / 5000, RATIOS, atol=0.05)
    np.testing.assert_array_equal(group_parts(groups[100:200], RATIOS, 7), parts[100:200])
    assert (group_parts(groups, RATIOS, 8) != parts).any()
    assert len(set(group_parts(pl.Series([None, "a", None]), RATIOS, 7)[[0, 2]])) == 1


def test_values_of_a_column() -> None:
    column = pl.Series("day", ["1", "2", "3", None, "9"])
    assert column_parts(column, {"valid": [2], "test": ["3"]}, "log.csv").tolist() == [TRAIN, VALID, TEST, TRAIN, TRAIN]
    named = {"train": [1], "valid": [2], "test": [3]}
    with pytest.raises(InputError, match=r"log.csv: row 4: column 'day' holds None, not one of .*values: 1, 2, 3"):
        column_parts(column, named, "log.csv")
    assert column_parts(column[:3], named, "log.csv").tolist() == [TRAIN, VALID, TEST]


def test_empty_parts_are_named() -> None:
    sizes = dict(zip(PARTS, (2, 0, 1), strict=True))
    with pytest.raises(InputError, match=r"split: the valid part is empty: a share of 0\.33 of 3 rows"):
        check_parts(sizes, (0.34, 0.33, 0.33))
    with pytest.raises(InputError, match="split: the valid part is empty: none of 3 rows"):
        check_parts(sizes, None)
