from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.times import instants, seconds, time_part
from dagfm.encoding.values import BadValueError
from dagfm.errors import InputError

MOMENT = datetime(2014, 10, 21, 23, 5, 9)
EPOCH = int(MOMENT.replace(tzinfo=UTC).timestamp())


def found(cells: list[object], time_format: str | None = None) -> list[datetime | None]:
    return instants(pl.Series("at", cells, strict=False), time_format, "rows").to_list()


@pytest.mark.parametrize(
    "cell",
    [
        MOMENT,
        MOMENT.replace(tzinfo=UTC),
        datetime(2014, 10, 22, 1, 5, 9, tzinfo=timezone(timedelta(hours=2))),
        EPOCH,
        EPOCH * 1000,
        EPOCH * 10**6,
        EPOCH * 10**9,
        float(EPOCH),
        str(EPOCH),
        "2014-10-21 23:05:09",
        "2014-10-21T23:05:09",
        "2014-10-21T23:05:09.000",
        "2014-10-21T23:05:09Z",
        "2014-10-22T01:05:09+02:00",
    ],
)
def test_one_moment_in_many_forms(cell: object) -> None:
    assert found([cell, None]) == [MOMENT, None]


def test_formats_and_dates() -> None:
    assert found(["14102123"], "%y%m%d%H") == [datetime(2014, 10, 21, 23)]
    assert found([14102123], "%y%m%d%H") == [datetime(2014, 10, 21, 23)]
    assert found([date(2014, 10, 21)]) == found(["2014-10-21"]) == [datetime(2014, 10, 21)]
    assert found(["2014-10-21 23:05"]) == [datetime(2014, 10, 21, 23, 5)]
    assert found(["", None]) == [None, None]


def test_parts() -> None:
    moments = pl.Series([MOMENT, datetime(2014, 10, 25), datetime(2014, 10, 26, 1), None])
    assert time_part(moments, "hour").to_list() == ["23", "0", "1", None]
    assert time_part(moments, "weekday").to_list() == ["2", "6", "7", None]
    assert time_part(moments, "is_weekend").to_list() == ["0", "1", "1", None]


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(BadValueError, match=r"rows: row 2: column 'at' holds 'soon', expected a time as ISO 8601"):
        found(["2014-10-21", "soon"])
    with pytest.raises(BadValueError, match=r"row 1: column 'at' holds '2014', expected a time such as '%y%m%d%H'"):
        found(["2014"], "%y%m%d%H")
    with pytest.raises(InputError, match=r"holds List\(Int64\), expected points in time"):
        found([[1]])


@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))
def test_any_moment_survives_its_text(moment: datetime) -> None:
    assert found([moment.isoformat(" "), moment.isoformat()]) == [moment, moment]
    assert found([moment.replace(tzinfo=UTC).isoformat()]) == [moment]


@pytest.mark.parametrize("cell", [1e21, -1e21, 5e122, -1.7e308, "1e300"])
def test_a_number_that_no_calendar_has_is_no_time(cell: object) -> None:
    with pytest.raises(BadValueError, match=r"row 2: .*expected a time"):
        instants(pl.Series("when", [None, cell]), None, "rows")


def test_what_orders_rows() -> None:
    assert seconds(pl.Series("t", ["3", "1.5", None]), None, "rows")[:2].tolist() == [3.0, 1.5]
    assert seconds(pl.Series("t", [7, 8]), None, "rows").tolist() == [7.0, 8.0]
    assert np.isnan(seconds(pl.Series("t", [None, 1]), None, "rows")[0])
    day = seconds(pl.Series("t", ["2014-10-21", "2014-10-22"]), None, "rows")
    assert day[1] - day[0] == 86400.0
