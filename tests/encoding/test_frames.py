import datetime
import decimal
import subprocess
import sys
import uuid
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.frames import to_frame
from dagfm.encoding.values import token_text
from dagfm.errors import InputError

ROWS = [{"a": 5, "b": "x"}, {"a": None, "b": ""}, {"a": 7, "b": None}]
COLUMNS = {"a": [5, None, 7], "b": ["x", "", None]}


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        tuple(ROWS),
        [MappingProxyType(row) for row in ROWS],
        COLUMNS,
        {"a": np.array([5, np.nan, 7]), "b": pl.Series(COLUMNS["b"])},
        {"a": pd.Series(COLUMNS["a"]), "b": pa.array(COLUMNS["b"])},
        {"a": pa.chunked_array([[5, None], [7]]), "b": COLUMNS["b"]},
        pl.DataFrame(COLUMNS),
        pl.LazyFrame(COLUMNS),
        pd.DataFrame(COLUMNS),
        pd.DataFrame({"a": pd.array([5, None, 7], "Int64"), "b": pd.array(["x", "", None], "string")}),
        pd.DataFrame({"a": pd.Categorical([5, None, 7]), "b": pd.Series(["x", "", None], dtype=object)}),
        pa.table(COLUMNS),
        pa.RecordBatch.from_pydict(COLUMNS),
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_every_kind_of_table_says_the_same(rows: object) -> None:
    frame = to_frame(rows)
    assert frame.columns == ["a", "b"]
    assert token_text(frame["a"]).to_list() == ["5", None, "7"]
    assert token_text(frame["b"]).to_list() == ["x", None, None]


def test_mixed_columns_become_token_texts() -> None:
    cells = [5, "5", 5.0, 2.5, True, None, 2**70, np.int8(3), np.float32(0.1), datetime.date(2024, 1, 2), b"z"]
    expected = ["5", "5", "5", "2.5", "true", None, str(2**70), "3", "0.1", "2024-01-02", "z"]
    for rows in ([{"a": cell} for cell in cells], {"a": cells}, pd.DataFrame({"a": pd.Series(cells, dtype=object)})):
        assert to_frame(rows)["a"].to_list() == expected


@given(st.lists(st.none() | st.integers() | st.floats() | st.text() | st.booleans() | st.binary()))
def test_a_value_is_the_same_token_beside_any_others(cells: list[object]) -> None:
    together = token_text(to_frame([{"a": cell} for cell in cells] or {"a": []})["a"]).to_list()
    assert together == [token_text(to_frame([{"a": cell}])["a"])[0] for cell in cells]


def test_points_in_time_are_the_same_token_in_every_zone() -> None:
    paris = datetime.timezone(datetime.timedelta(hours=2))
    aware = datetime.datetime(2024, 1, 2, 5, tzinfo=paris)
    naive = datetime.datetime(2024, 1, 2, 3)
    told = ["2024-01-02 03:00:00.000000+00:00", "2024-01-02 03:00:00.000000", None]
    assert token_text(to_frame({"a": [aware, naive, None]})["a"]).to_list() == told
    for cell, text in zip((aware, naive), told, strict=False):
        tables = [{"a": cell}], pd.DataFrame({"a": [cell]}), pa.table({"a": [cell]}), pl.DataFrame({"a": [cell]})
        assert [token_text(to_frame(table)["a"])[0] for table in tables] == [text] * 4


def test_unusual_values_are_text() -> None:
    assert to_frame([{"a": pd.NA}, {"a": pd.NaT}, {"a": 1}])["a"].to_list() == [None, None, 1]
    numbers = [decimal.Decimal(text) for text in ("5.00", "1E+2", "NaN", "0.10", "1" * 50)]
    assert to_frame({"a": numbers})["a"].to_list() == ["5", "100", None, "0.1", "1" * 50]
    widths = [np.float32(0.1), np.float64(0.1), np.int64(2**62 + 1)]
    assert to_frame({"a": widths})["a"].to_list() == ["0.1", "0.1", str(2**62 + 1)]
    assert to_frame({"a": [np.int8(1), None, np.int8(2)]})["a"].to_list() == [1, None, 2]
    name = uuid.UUID(int=7)
    assert to_frame([{"a": name}])["a"].to_list() == [str(name)]
    assert to_frame([{"a": "\ud800b"}, {"a": "c"}])["a"].to_list() == ["?b", "c"]
    assert to_frame([{"a": 2**200}, {"a": 1}])["a"].to_list() == [str(2**200), "1"]
    assert to_frame([{"a": np.bool_(True)}, {"a": None}])["a"].to_list() == [True, None]
    assert to_frame([{"a": {"nested": 1}}]).height == 1


def test_lists_stay_lists() -> None:
    frame = to_frame([{"a": ["x", 1, None]}, {"a": ()}, {}, {"a": np.array([2, 3])}])
    assert frame["a"].to_list() == [["x", "1", None], [], None, ["2", "3"]]
    arrow = to_frame(pa.table({"a": [["x"], [], None]}))
    pandas = to_frame(pd.DataFrame({"a": [["x"], [], None]}))
    assert arrow["a"].to_list() == pandas["a"].to_list() == [["x"], [], None]


def test_rows_may_lack_keys() -> None:
    assert to_frame([{"a": 1}, {"b": 2}]).to_dicts() == [{"a": 1, "b": None}, {"a": None, "b": 2}]


def test_no_rows() -> None:
    assert to_frame([]).height == 0
    assert to_frame({"a": []}).columns == ["a"]
    assert to_frame(pd.DataFrame({"a": []})).height == 0


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"a": 1, "b": 2}, r"request: column 'a' is the single value 1.*wrap one row in a list: \[row\]"),
        ({"a": "x"}, "column 'a' is the single value 'x'"),
        ({"a": [1], "b": [1, 2]}, "request: columns differ in length: a 1, b 2"),
        ([{"a": 1}, 5], "request: item 2 is int, expected a dict for each row"),
        ([{}], "request: row 1 is empty"),
        ("a.csv", "request: got the path 'a.csv', expected a polars.*'dagfm predict' scores files"),
        (Path("a.csv"), "request: got the path 'a.csv', expected a polars"),
        (None, "request: got NoneType"),
        ([{"a": ["x"]}, {"a": "y"}], "column 'a': row 2 holds 'y', but other rows hold lists"),
        ([{"a": [["x"]]}], "column 'a' holds lists of lists"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "request: a column name occurs twice"),
        (pa.table([[1], [2]], names=["a", "a"]), "request: a column name occurs twice"),
    ],
)
def test_what_is_no_table_is_refused(rows: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_frame(rows, "request")


def test_pandas_and_arrow_are_not_imported() -> None:
    code = (
        "import sys; from dagfm.encoding.frames import to_frame; to_frame([{'a': 1}]); to_frame({'a': ['x']}); "
        "assert not {'pandas', 'pyarrow', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
