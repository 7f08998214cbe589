import datetime
import decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.values import BadValueError, numbers, token_text
from dagfm.errors import InputError


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        (pl.Series([5, None, -3]), ["5", None, "-3"]),
        (pl.Series([2**63 + 1], dtype=pl.UInt64), ["9223372036854775809"]),
        (pl.Series([5.0, None, float("nan"), -0.0, 2.5]), ["5", None, None, "0", "2.5"]),
        (pl.Series([1e16, 2.0**53, 2.0**53 - 1, 1e-7]), ["1e+16", "9007199254740992.0", "9007199254740991", "1e-07"]),
        (pl.Series([float("inf"), float("-inf")]), ["inf", "-inf"]),
        (pl.Series([0.1, 3.0], dtype=pl.Float32), ["0.1", "3"]),
        (pl.Series([True, None, False]), ["true", None, "false"]),
        (pl.Series(["12.0", "007", " a ", "", None]), ["12.0", "007", " a ", None, None]),
        (pl.Series(["b", "", None], dtype=pl.Categorical), ["b", None, None]),
        (pl.Series(["b", "a"], dtype=pl.Enum(["a", "b"])), ["b", "a"]),
        (pl.Series([decimal.Decimal("5.00"), decimal.Decimal("2.50"), decimal.Decimal("100")]), ["5", "2.5", "100"]),
        (pl.Series([datetime.date(2024, 2, 29), None]), ["2024-02-29", None]),
        (pl.Series([datetime.timedelta(seconds=1)]), ["1000000"]),
        (pl.Series([b"ab", b"\xff", None]), ["ab", "\\xff", None]),
        (pl.Series([None, None]), [None, None]),
        (pl.Series([], dtype=pl.Float64), []),
    ],
)
def test_token_text_is_canonical(series: pl.Series, expected: list[str | None]) -> None:
    text = token_text(series)
    assert text.dtype == pl.String
    assert text.to_list() == expected


def test_time_units_do_not_change_a_token() -> None:
    moment = pl.Series([datetime.datetime(2024, 1, 2, 3, 4, 5)])
    texts = {token_text(moment.dt.cast_time_unit(unit))[0] for unit in ("ns", "us", "ms")}
    assert texts == {"2024-01-02 03:04:05.000000"}


def test_lists_are_no_tokens() -> None:
    with pytest.raises(InputError, match=r"column 'tags' holds List.*type token_seq"):
        token_text(pl.Series("tags", [["a"]]))


@given(st.lists(st.integers(-(2**53) + 1, 2**53 - 1)))
def test_an_integer_is_the_same_token_as_float_and_text(values: list[int]) -> None:
    whole = token_text(pl.Series(values, dtype=pl.Int64)).to_list()
    assert token_text(pl.Series(values, dtype=pl.Float64)).to_list() == whole
    assert token_text(pl.Series([str(value) for value in values], dtype=pl.String)).to_list() == whole


@given(st.lists(st.floats(allow_nan=False)))
def test_float_text_is_pythons(values: list[float]) -> None:
    expected = [str(int(v)) if abs(v) < 2**53 and v == int(v) else repr(v) for v in values]
    assert token_text(pl.Series(values, dtype=pl.Float64)).to_list() == expected


@pytest.mark.parametrize(
    "series",
    [
        pl.Series("x", ["1", " 2.5 ", "", None, "nan", " "]),
        pl.Series("x", [1.0, 2.5, None, None, float("nan"), None]),
        pl.Series("x", ["1", "2.5", "", None, "", ""], dtype=pl.Categorical),
    ],
)
def test_numbers_with_missing_ones(series: pl.Series) -> None:
    values = numbers(series, "rows")
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, [1, 2.5, np.nan, np.nan, np.nan, np.nan])


def test_numbers_of_other_types() -> None:
    np.testing.assert_array_equal(numbers(pl.Series([True, False, None]), "rows"), [1, 0, np.nan])
    np.testing.assert_array_equal(numbers(pl.Series([decimal.Decimal("1.5")]), "rows"), [1.5])
    np.testing.assert_array_equal(numbers(pl.Series([None]), "rows"), [np.nan])
    assert numbers(pl.Series([], dtype=pl.String), "rows").shape == (0,)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1", None, "12a"], r"clicks.csv: row 3: column 'price' holds '12a', expected a number"),
        (["1", "inf"], r"clicks.csv: row 2: column 'price' holds 'inf', expected a finite number"),
        ([1.0, 2.0, float("-inf")], r"clicks.csv: row 3: column 'price' holds -inf, expected a finite number"),
        (["1e400"], r"row 1: .*'1e400', expected a finite number"),
    ],
)
def test_what_is_no_number_is_refused_with_its_row(cells: list[object], message: str) -> None:
    with pytest.raises(BadValueError, match=message):
        numbers(pl.Series("price", cells), "clicks.csv")


def test_dates_are_no_numbers() -> None:
    with pytest.raises(InputError, match=r"clicks\.csv: column 'day' holds Date, expected numbers"):
        numbers(pl.Series("day", [datetime.date(2024, 1, 1)]), "clicks.csv")
