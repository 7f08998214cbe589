import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.bins import Bins, log_squared_text
from dagfm.encoding.values import BadValueError
from dagfm.schema import FIRST, MISSING

NUMBERS = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=50)


def test_equally_many_values_a_bin() -> None:
    bins = Bins.fit(np.arange(100.0), 4)
    assert bins.edges == (25.0, 50.0, 75.0) and bins.rows == FIRST + 4
    assert np.bincount(bins.encode(np.arange(100.0)))[FIRST:].tolist() == [25] * 4


def test_missing_equal_and_no_values() -> None:
    bins = Bins.fit(np.array([1.0, 1.0, 1.0, 2.0]), 4)
    assert bins.encode(np.array([np.nan, 1.0, 2.0, -9.0, 9.0])).tolist() == [MISSING, 2, 3, 2, 3]
    for ordered in (np.full(5, 3.0), np.empty(0)):
        one = Bins.fit(ordered, 32)
        assert one.rows == FIRST + 1 and one.encode(np.array([0.0, np.nan])).tolist() == [FIRST, MISSING]


@given(NUMBERS, NUMBERS, st.integers(2, 9))
def test_larger_values_never_have_smaller_bins(training: list[float], values: list[float], count: int) -> None:
    bins = Bins.fit(np.sort(np.array(training)), count)
    ids = bins.encode(np.sort(np.array(values)))
    assert (np.diff(ids) >= 0).all() and ids.min() >= FIRST and ids.max() < bins.rows <= FIRST + count
    assert set(bins.encode(np.array(training))) == set(range(FIRST, bins.rows)), "no bin is empty"


def test_the_published_logarithm() -> None:
    cells = [None, -3, 0, 1, 2, 3, 10, 1000, 1e300, 2.5, -0.5]
    text = log_squared_text(pl.Series("I1", cells, dtype=pl.Float64), "rows")
    assert text.to_list()[:9] == [None, "-3", "0", "1", "2", "1", "5", "47", "477170"]
    assert text.to_list()[9:] == ["0", "-1"]
    assert log_squared_text(pl.Series("I1", ["", "10", " 3 "]), "rows").to_list() == [None, "5", "1"]
    with pytest.raises(BadValueError, match="row 2: column 'I1' holds 'many', expected a number"):
        log_squared_text(pl.Series("I1", ["1", "many"]), "rows")
