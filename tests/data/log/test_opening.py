from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import opened, rows_of, write

from dagfm.data.log import identities
from dagfm.data.log.formats import SUFFIXES
from dagfm.errors import InputError

TABLE = pl.DataFrame({"id": ["007", "12.0", "x"], "n": ["1", "2", "3"]})


def test_every_format_reads_the_same_table(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "a.parquet")
    TABLE.write_csv(tmp_path / "a.csv")
    TABLE.write_csv(tmp_path / "a.tsv", separator="\t")
    write(tmp_path / "a.inter", "id:token\tn:float\n007\t1\n12.0\t2\nx\t3\n")
    for name in ("a.parquet", "a.csv", "a.tsv", "a.inter"):
        assert opened(str(tmp_path / name), tmp_path).frame(["id", "n"]).equals(TABLE)


def test_format_overrides_the_suffix(tmp_path: Path) -> None:
    path = write(tmp_path / "log.dat", "id\tn\n007\t1\n")
    assert rows_of(opened(path, tmp_path, format="tsv")) == [("007", "1")]
    assert rows_of(opened(path, tmp_path, separator="\t")) == [("007", "1")]
    with pytest.raises(InputError, match=r"log\.dat: unknown suffix '\.dat'; valid: \.parquet, \.csv, .*; or set"):
        opened(path, tmp_path)
    with pytest.raises(InputError, match=r"a\.parquett: unknown suffix .* Did you mean '\.parquet'\?"):
        opened(write(tmp_path / "a.parquett", "x"), tmp_path)
    with pytest.raises(InputError, match=r"log: unknown suffix ''"):
        opened(write(tmp_path / "log", "x"), tmp_path)
    assert all(suffix == suffix.lower() for suffix in SUFFIXES)


def test_recbole_sequences_are_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "a.item", 'id:token\tclass:token_seq\tv:float_seq\n1\tA "B C\t1 2\n2\t\t3\n')
    frame = opened(path, tmp_path).frame(["class", "v"])
    assert frame["class"].to_list() == [["A", '"B', "C"], None]
    assert frame["v"].to_list() == [["1", "2"], ["3"]]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.inter", "id\tn:float\n1\t2\n", "a.inter: header 'id', expected name:type with token"),
        ("a.inter", "id:tokn\n1\n", "a.inter: header 'id:tokn'"),
        ("a.inter", "id:token\tid:float\n1\t2\n", "a.inter: a column name occurs twice"),
        ("a.inter", "id:token\tn:float\n1\n", "a.inter: line 2 has 1 cells, the header has 2 columns"),
        ("a.parquet", b"PAR1 not at all", "a.parquet: not a Parquet file, or a damaged one"),
        ("a.parquet", b"", "a.parquet: the file is empty"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(write(tmp_path / name, data), tmp_path)


@pytest.mark.parametrize(("suffix", "header"), [("inter", "id:token\ttags:token_seq"), ("tsv", "id\ttags")])
def test_a_text_file_with_a_header_alone_adds_no_rows(tmp_path: Path, suffix: str, header: str) -> None:
    write(tmp_path / "logs" / f"0.{suffix}", f"{header}\n")
    with pytest.raises(InputError, match="the table has no rows; its columns: id, tags"):
        opened(str(tmp_path / "logs"), tmp_path)
    write(tmp_path / "logs" / f"1.{suffix}", f"{header}\n1\ta b\n")
    for _ in range(2):  # converted, and found converted
        log = opened(str(tmp_path / "logs"), tmp_path)
        assert len(log) == 1
        (table,) = log.batches(["id", "tags"], 10)
        assert table["tags"].to_pylist() == [["a", "b"] if suffix == "inter" else "a b"]


def test_parquet_without_rows_or_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    TABLE.clear().write_parquet(path)
    with pytest.raises(InputError, match=r"a\.parquet: the table has no rows"):
        opened(str(path), tmp_path)
    TABLE.write_parquet(path)
    whole = path.read_bytes()
    for size in (20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
            opened(str(path), tmp_path)


def test_parts_without_rows_are_passed_over_as_spark_writes_them(tmp_path: Path) -> None:
    for number, part in enumerate((TABLE.clear(), TABLE[:1], TABLE.clear(), TABLE[1:])):
        part.write_parquet(tmp_path / f"part-{number}.parquet")
    log = opened(str(tmp_path), tmp_path / "store")
    assert log.frame(["id", "n"]).equals(TABLE)
    assert log.locate(1) == f"{tmp_path}/part-3.parquet: row 1"
    TABLE.clear().rename({"n": "m"}).write_parquet(tmp_path / "part-0.parquet")
    with pytest.raises(InputError, match=r"part-1\.parquet: columns differ from those of .*part-0\.parquet"):
        opened(str(tmp_path), tmp_path / "store")


def test_parquet_that_is_damaged_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame({"id": [f"user {row * 7919}" for row in range(1000)]}).write_parquet(path)
    data = bytearray(path.read_bytes())
    data[4:200] = bytes(196)
    path.write_bytes(data)
    log = opened(str(path), tmp_path)
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        log.frame(["id"])


def test_columns_that_parquet_has_twice(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"a\.parquet: column 'a' occurs twice: a, a"):
        opened(str(tmp_path / "a.parquet"), tmp_path)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        opened(str(tmp_path / "none.csv"), tmp_path)
    with pytest.raises(InputError, match=r"\*\.csv: no file matches"):
        opened(str(tmp_path / "*.csv"), tmp_path)
    (tmp_path / "log").mkdir()
    write(tmp_path / "log" / "_SUCCESS", "")
    with pytest.raises(InputError, match="log: a folder without files"):
        opened(str(tmp_path / "log"), tmp_path)


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,n\n1,2\n")
    second = write(tmp_path / "b.csv", "id,m\n1,2\n")
    with pytest.raises(InputError, match=r"b\.csv: columns differ from those of .*a\.csv: id, m; expected id, n"):
        opened([first, second], tmp_path)
    for name, values in (("a", [1]), ("b", ["1"]), ("c", [None]), ("e", [[1]])):
        pl.DataFrame({"id": values}).write_parquet(tmp_path / f"{name}.parquet")
    pl.DataFrame({"id": pl.Series([2], dtype=pl.Int16)}).write_parquet(tmp_path / "d.parquet")
    parquet = {name: str(tmp_path / f"{name}.parquet") for name in "abcde"}
    with pytest.raises(InputError, match=r"b\.parquet: column 'id' is text, but int64 in .*a\.parquet"):
        opened([parquet["a"], parquet["b"]], tmp_path)
    with pytest.raises(InputError, match=r"e\.parquet: column 'id' is list of int64, but int64 in .*a\.parquet"):
        opened([parquet["a"], parquet["e"]], tmp_path)
    log = opened([parquet["d"], parquet["c"], parquet["a"]], tmp_path)
    assert log.frame(["id"])["id"].to_list() == [2, None, 1]
    assert log.types == {"id": pa.int64()}


def test_text_and_parquet_may_be_one_log(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "a.parquet")
    path = write(tmp_path / "b.csv", "n,id\n4,y\n")
    log = opened([str(tmp_path / "a.parquet"), path], tmp_path)
    assert rows_of(log) == [*TABLE.rows(), ("y", "4")]


def test_partitioned_folders(tmp_path: Path) -> None:
    for day, hour, values in (("2024-01-02", "a%2Fb", ["x"]), ("2024-01-01", "__HIVE_DEFAULT_PARTITION__", ["y", "z"])):
        folder = tmp_path / "log" / f"day={day}" / f"hour={hour}"
        folder.mkdir(parents=True)
        pl.DataFrame({"id": values}).write_parquet(folder / "part-0.parquet")
        write(folder / ".part-0.parquet.crc", "no table")
        write(folder / "_metadata", "no table")
    write(tmp_path / "log" / "_SUCCESS", "")
    write(tmp_path / "log" / "_temporary" / "a.parquet", "no table")
    expected = [("y", "2024-01-01", None), ("z", "2024-01-01", None), ("x", "2024-01-02", "a/b")]
    for path in ("log", "log/day=*", "log/**/*.parquet", "log/day=*/hour=*/*.parquet"):
        log = opened(str(tmp_path / path), tmp_path / "store")
        assert list(log.types) == ["id", "day", "hour"]
        assert rows_of(log) == expected
    assert log.frame(["day"])["day"].to_list() == ["2024-01-01", "2024-01-01", "2024-01-02"]
    assert log.locate(2).endswith("log/day=2024-01-02/hour=a%2Fb/part-0.parquet: row 1")
    pl.DataFrame({"day": [7], "id": ["w"]}).write_parquet(tmp_path / "log" / "day=2024-01-01" / "b.parquet")
    log = opened(str(tmp_path / "log" / "day=2024-01-01" / "b.parquet"), tmp_path)
    assert rows_of(log) == [(7, "w")]


def test_what_tells_files_apart(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id\n1\n")
    before = identities([path])
    assert opened(path, tmp_path).identity == before
    write(tmp_path / "a.csv", "id\n2\n")
    assert identities([path]) != before
    with pytest.raises(InputError, match="no such file"):
        identities([str(tmp_path / "b.csv")])
