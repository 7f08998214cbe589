import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from logs import opened, write

from dagfm.data.log import AbsentColumnError
from dagfm.errors import InputError

CODED = pa.dictionary(pa.int32(), pa.string())
KINDS = pl.DataFrame(
    {
        "text": ["x", None, "", "y"],
        "code": pl.Series(["u", "v", None, "u"], dtype=pl.Categorical),
        "level": pl.Series(["lo", "hi", None, "lo"], dtype=pl.Enum(["lo", "hi"])),
        "whole": [1, None, 2**62, -3],
        "part": [0.5, None, float("nan"), float("inf")],
        "flag": [True, False, None, True],
        "tags": [["a", None], [], None, ["b"]],
        "numbers": [[1, 2], [], None, [3]],
        "when": pl.Series(["2024-01-01T10:00:00", None, "1969-01-01T00:00:00", None]).str.to_datetime(),
        "raw": [b"q", None, b"\xff", b""],
        "nothing": [None, None, None, None],
    }
)


@pytest.fixture
def log_file(tmp_path: Path) -> str:
    return write(tmp_path / "log.csv", "user,item,click\n2,b,1\n1,a,0\n2,zz,1\n,a,0\n")


def test_kinds_and_frames(tmp_path: Path) -> None:
    KINDS.write_parquet(tmp_path / "a.parquet")
    log = opened(str(tmp_path / "a.parquet"), tmp_path)
    assert [str(log.types[name]) for name in ("text", "code", "level", "raw")] == [
        "string",
        "string",
        "string",
        "binary",
    ]
    table = next(log.batches(list(log.types), 10))
    assert [table[name].type for name in ("text", "code", "level")] == [CODED, CODED, CODED]
    frame = log.frame(list(log.types))
    expected = KINDS.with_columns(pl.col("code", "level").cast(pl.String))
    assert frame.equals(expected)
    assert frame.schema == expected.schema


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        (pa.int8(), pa.uint8(), pa.int16()),
        (pa.int64(), pa.uint64(), pa.decimal128(20, 0)),
        (pa.float32(), pa.float64(), pa.float64()),
        (pa.large_string(), pa.dictionary(pa.int8(), pa.string()), pa.string()),
        (pa.timestamp("ms"), pa.timestamp("ns"), pa.timestamp("us")),
        (pa.list_(pa.int8()), pa.large_list(pa.int64()), pa.large_list(pa.int64())),
        (pa.list_(pa.string()), pa.large_list(pa.null()), pa.large_list(pa.large_string())),
        (pa.decimal128(5, 2), pa.decimal128(6, 1), pa.decimal128(7, 2)),
        (pa.bool_(), pa.null(), pa.bool_()),
    ],
)
def test_kinds_unify(tmp_path: Path, one: pa.DataType, other: pa.DataType, kind: pa.DataType) -> None:
    for turn in ((one, other), (other, one)):
        for name, type in zip("ab", turn, strict=True):
            pq.write_table(pa.table({"x": pa.nulls(2, type)}), tmp_path / f"{name}.parquet")
        log = opened(str(tmp_path / "*.parquet"), tmp_path)
        assert log.types["x"] == kind
        assert log.frame(["x"])["x"].null_count() == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int64(), pa.float64()),
        (pa.bool_(), pa.int8()),
        (pa.timestamp("us"), pa.timestamp("us", "UTC")),
        (pa.list_(pa.string()), pa.string()),
        (pa.list_(pa.string()), pa.list_(pa.int8())),
    ],
)
def test_kinds_that_do_not(tmp_path: Path, one: pa.DataType, other: pa.DataType) -> None:
    for name, type in zip("ab", (one, other), strict=True):
        pq.write_table(pa.table({"x": pa.nulls(2, type)}), tmp_path / f"{name}.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: column 'x' is .*, but .* in .*a\.parquet"):
        opened(str(tmp_path / "*.parquet"), tmp_path)


@settings(max_examples=60)
@given(st.data())
def test_any_cutting_into_files_row_groups_and_batches_gives_the_same_rows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    count = data.draw(st.integers(1, 40), "rows")
    rows = pl.DataFrame(
        {
            "id": [None if row % 7 == 0 else f"u{row % 5}" for row in range(count)],
            "n": range(count),
            "l": [[str(row)] * (row % 3) for row in range(count)],
        },
        schema={"id": pl.String, "n": pl.Int64, "l": pl.List(pl.String)},
    )
    cuts = sorted(data.draw(st.sets(st.integers(1, count - 1), max_size=4) if count > 1 else st.just(set()), "cuts"))
    edges = [0, *cuts, count]
    for index, (start, end) in enumerate(pairwise(edges)):
        size = data.draw(st.integers(1, 12), "row group")
        pq.write_table(rows[start:end].to_arrow(), folder / f"{index}.parquet", row_group_size=size)
    log = opened(str(folder / "*.parquet"), folder)
    size, start = data.draw(st.integers(1, 50), "batch"), data.draw(st.integers(0, count), "start")
    tables = list(log.batches(["l", "id", "n"], size, start))
    assert [len(table) for table in tables] == [min(size, count - at) for at in range(start, count, size)]
    assert all(table["id"].type == CODED for table in tables)
    got: list[dict[str, Any]] = [row for table in tables for row in table.to_pylist()]
    assert got == rows[start:].select("l", "id", "n").to_dicts()
    assert len(log) == count
    row = data.draw(st.integers(0, count - 1), "row")
    index = max(index for index, edge in enumerate(edges[:-1]) if edge <= row)
    assert log.locate(row) == f"{folder / str(index)}.parquet: row {row - edges[index] + 1}"


def test_only_what_is_asked_for_in_that_order(log_file: str, tmp_path: Path) -> None:
    frame = opened(log_file, tmp_path).frame(["click", "user"])
    assert frame.rows() == [("1", "2"), ("0", "1"), ("1", "2"), ("0", None)]


def test_side_tables_are_joined_in_the_logs_order(
    tmp_path: Path, log_file: str, caplog: pytest.LogCaptureFixture
) -> None:
    pl.DataFrame({"user": [1.0, 2.0, None], "age": [31, 42, 0]}).write_parquet(tmp_path / "u.parquet")
    items = write(tmp_path / "i.csv", "item,kind\nb,B\na,A\nc,C\n")
    log = opened(log_file, tmp_path, {"user": str(tmp_path / "u.parquet"), "item": items})
    assert list(log.types) == ["user", "item", "click", "age", "kind"]
    for rows in (1, 3, 100):
        with caplog.at_level(logging.WARNING):
            tables = list(log.batches(["user", "age", "kind"], rows))
        got = [tuple(row.values()) for table in tables for row in table.to_pylist()]
        assert got == [("2", 42, "B"), ("1", 31, "A"), ("2", 42, None), (None, None, "A")]
        assert {table["kind"].type for table in tables} == {CODED}
    assert log.unmatched == {"user": 1, "item": 1}
    assert [record.getMessage().rpartition("/")[2] for record in caplog.records] == [
        "u.parquet: 1 of 4 rows have a 'user' that is not in it",
        "i.csv: 1 of 4 rows have a 'item' that is not in it",
    ]


def test_unmatched_rows_are_counted_over_whole_readings_only(tmp_path: Path, log_file: str) -> None:
    log = opened(log_file, tmp_path, {"item": write(tmp_path / "i.csv", "item,kind\na,A\n")})
    list(log.batches(["kind"], 2, start=1))
    next(log.batches(["kind"], 2))
    assert log.unmatched == {}
    assert log.frame(["kind"])["kind"].to_list() == [None, "A", None, "A"]
    assert log.unmatched == {"item": 2}


@settings(max_examples=30)
@given(st.lists(st.sampled_from([1, 2, 5, None]), min_size=1, max_size=20), st.integers(1, 7))
def test_a_join_is_a_left_join(tmp_path_factory: pytest.TempPathFactory, users: list[int | None], rows: int) -> None:
    folder = tmp_path_factory.mktemp("join")
    log = pl.DataFrame({"user": pl.Series(users, dtype=pl.Int64), "row": range(len(users))})
    side = pl.DataFrame({"user": ["1", "2", "3"], "tags": [["a"], None, ["b", "c"]], "name": ["x", "y", None]})
    pq.write_table(log.to_arrow(), folder / "log.parquet", row_group_size=3)
    side.write_parquet(folder / "side.parquet")
    opened_log = opened(str(folder / "log.parquet"), folder, {"user": str(folder / "side.parquet")})
    got = [row for table in opened_log.batches(["row", "tags", "name"], rows) for row in table.to_pylist()]
    expected = log.with_columns(pl.col("user").cast(pl.String)).join(side, on="user", how="left", maintain_order="left")
    assert got == expected.select("row", "tags", "name").to_dicts()


def test_repeated_keys_are_refused(tmp_path: Path, log_file: str) -> None:
    users = write(tmp_path / "u.csv", "user,age\n1,31\n2,4\n1,32\n")
    with pytest.raises(InputError, match=r"u\.csv: key 'user' '1' occurs twice, expected once"):
        opened(log_file, tmp_path, {"user": users}).frame(["age"])


def test_columns_found_nowhere_or_twice_are_refused(tmp_path: Path, log_file: str) -> None:
    log = opened(log_file, tmp_path, {"user": write(tmp_path / "u.csv", "user,age,click\n1,31,0\n")})
    message = (
        r"column 'aeg' is in none of the files: .*log\.csv has user, item, click; "
        r".*u\.csv has user, age, click\. Did you mean 'age'\?"
    )
    with pytest.raises(AbsentColumnError, match=message) as caught:
        log.frame(["aeg"])
    assert caught.value.column == "aeg"
    with pytest.raises(InputError, match=r"column 'click' is in .*log\.csv and in .*u\.csv; rename or remove one"):
        log.frame(["click"])
    assert log.frame(["age"]).height == 4  # a repeated column that nobody asks for does no harm


def test_a_key_must_be_on_both_sides(tmp_path: Path, log_file: str) -> None:
    users = write(tmp_path / "u.csv", "id,age\n1,31\n")
    with pytest.raises(InputError, match=r"u\.csv: key column 'user' of table .*u\.csv is missing; columns: id, age"):
        opened(log_file, tmp_path, {"user": users})
    with pytest.raises(InputError, match=r"log\.csv: key column 'id' of table .*u\.csv is missing; columns: user, "):
        opened(log_file, tmp_path, {"id": users})


def test_a_side_table_is_read_as_the_log_unless_it_says_otherwise(tmp_path: Path) -> None:
    from dagfm.config.files import FileOptions, TableConfig
    from dagfm.data.log import open_log

    ratings = write(tmp_path / "ratings.dat", "1::x::5\n2::y::3\n")
    users = write(tmp_path / "users.txt", "user;age\n1;31\n")
    options = FileOptions(separator="::", columns=("user", "item", "rating"))
    tables = {"user": TableConfig(path=users, separator=";")}
    log = open_log((ratings,), options, tables, tmp_path)
    assert log.frame(["user", "age", "rating"]).rows() == [("1", "31", "5"), ("2", None, "3")]
    titles = write(tmp_path / "titles.dat", "item::title\ny::Alien: 3\n")
    log = open_log((ratings,), options, {"item": TableConfig(path=titles)}, tmp_path)
    assert log.frame(["title"])["title"].to_list() == [None, "Alien: 3"]


def test_a_list_of_a_million_elements(tmp_path: Path) -> None:
    pl.DataFrame({"l": [[str(item) for item in range(1_000_000)], ["x"]]}).write_parquet(tmp_path / "a.parquet")
    assert opened(str(tmp_path / "a.parquet"), tmp_path).frame(["l"])["l"].list.len().to_list() == [1_000_000, 1]


def test_codes_beyond_their_dictionary_are_damage(tmp_path: Path) -> None:
    """Whoever was handed them would read past the dictionary's end."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["aa", "bb", "cc"] * 100}), path, compression="none", write_statistics=False)
    chunk = pq.read_metadata(path).row_group(0).column(0)
    data = bytearray(path.read_bytes())
    data[chunk.dictionary_page_offset + chunk.total_compressed_size - 9] = 0xFF  # codes of two bits: 3, 3, 3, 3
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        list(opened(str(path), tmp_path).batches(["id"], 1000))


def test_a_column_whose_name_is_no_text_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"name": [1]}), path, store_schema=False)
    path.write_bytes(path.read_bytes().replace(b"name", b"\xffame"))
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        opened(str(path), tmp_path)
