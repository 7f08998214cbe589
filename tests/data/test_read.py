from pathlib import Path

import polars as pl
import pytest

from dagfm.data.read import collect, expand, locate, scan
from dagfm.errors import InputError

TABLE = pl.DataFrame({"id": ["007", "12.0", "x"], "n": [1, 2, 3]})


def write(path: Path, data: str | bytes) -> str:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return str(path)


def read(path: str, format: str | None = None, text: frozenset[str] = frozenset({"id"})) -> pl.DataFrame:
    return collect(scan((path,), format, text), path)


def test_every_format_reads_the_same_table(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "a.parquet")
    TABLE.write_csv(tmp_path / "a.csv")
    TABLE.write_csv(tmp_path / "a.tsv", separator="\t")
    write(tmp_path / "a.inter", "id:token\tn:float\n007\t1\n12.0\t2\nx\t3\n")
    for name in ("a.parquet", "a.csv", "a.tsv"):
        assert read(str(tmp_path / name)).equals(TABLE)
    assert read(str(tmp_path / "a.inter")).equals(TABLE)


def test_format_overrides_the_suffix(tmp_path: Path) -> None:
    path = write(tmp_path / "log.dat", "id\tn\n007\t1\n")
    assert read(path, "tsv").rows() == [("007", 1)]
    with pytest.raises(InputError, match=r"log\.dat: unknown suffix '\.dat'; valid: \.parquet, \.csv, .*; or set"):
        read(path)
    with pytest.raises(InputError, match=r"log\.dat: unknown format 'tvs'; valid: parquet, csv, tsv, recbole.*'tsv'"):
        read(path, "tvs")


def test_recbole_sequences_are_lists(tmp_path: Path) -> None:
    path = write(tmp_path / "a.item", 'id:token\tclass:token_seq\tv:float_seq\n1\tA "B C\t1 2\n2\t\t3\n')
    frame = read(path)
    assert frame["class"].to_list() == [["A", '"B', "C"], None]
    assert frame["v"].to_list() == [["1", "2"], ["3"]]


@pytest.mark.parametrize(
    "data",
    [
        b"id,n\r\n007,1\r\nx,2\r\n",
        b"\xef\xbb\xbfid,n\n007,1\nx,2",
        b'"id",n\n"007",1\nx,2\n',
        b'"id",n\n"0""07",1\nx,2\n',
        b'id,n\n"0\n07",1\nx,2\n',
    ],
)
def test_the_shapes_that_csv_comes_in(tmp_path: Path, data: bytes) -> None:
    frame = read(write(tmp_path / "a.csv", data))
    assert frame.columns == ["id", "n"]
    assert frame["id"].str.replace_all('[\n"]', "").to_list() == ["007", "x"]


def test_a_column_of_one_may_be_empty(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.csv", "id\n1\n\n2\n")).rows() == [("1",), (None,), ("2",)]


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "id,n\n", "a.csv: a header and no rows: id, n"),
        ("a.csv", "id,n\n\n\r\n", "a.csv: a header and no rows"),
        ("a.csv", "id,n,id\n1,2,3\n", "a.csv: column 'id' occurs twice in the header: id, n, id"),
        ("a.csv", "id,n\n1,2\n3\n", "a.csv: line 3 has 1 cells, the header has 2 columns"),
        ("a.csv", "id,n\n1,2,3\n", "a.csv: line 2 has 3 cells"),
        ("a.csv", "id,n\n1,2,3\n4\n", "cannot be read|line 2 has 3 cells"),
        ("a.csv", "id,n\n1,2\n\n3,4\n", "a.csv: line 3 has 0 cells"),
        ("a.csv", 'id,n\n"1,2",3\n"4,5"\n', "a.csv: line 3 has 1 cells"),
        ("a.csv", b"id,n\n1,2\n\xff,3\n", "a.csv: cannot be read: invalid utf-8"),
        ("a.csv", b"i\xff,n\n1,2\n", "a.csv: line 1 is not UTF-8 text .*byte 1"),
        ("a.csv", 'id,n\n"1,2\n3,4\n', "a.csv: "),
        ("a.tsv", "id\tn\n1\t2\n3\n", "a.tsv: line 3 has 1 cells"),
        ("a.inter", "id\tn:float\n1\t2\n", "a.inter: header 'id', expected name:type with token"),
        ("a.inter", "id:tokn\n1\n", "a.inter: header 'id:tokn'"),
        ("a.inter", "id:token\tid:float\n1\t2\n", "a.inter: a column name occurs twice"),
        ("a.inter", "id:token\tn:float\n1\n", "a.inter: line 2 has 1 cells"),
        ("a.parquet", b"PAR1 not at all", "a.parquet: not a Parquet file, or a damaged one"),
    ],
)
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(write(tmp_path / name, data))


def test_parquet_without_rows_or_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    TABLE.clear().write_parquet(path)
    with pytest.raises(InputError, match=r"a\.parquet: the table has no rows"):
        read(str(path))
    TABLE.write_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"a\.parquet: not a Parquet file, or a damaged one"):
        read(str(path))


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: no such file"):
        read(str(tmp_path / "none.csv"))
    with pytest.raises(InputError, match=r"\*\.csv: no file matches"):
        read(str(tmp_path / "*.csv"))
    with pytest.raises(InputError, match="a folder, expected a file or a glob"):
        read(str(tmp_path))


def test_globs_are_sorted_and_may_be_names(tmp_path: Path) -> None:
    paths = [write(tmp_path / name, f"id\n{name}\n") for name in ("b.csv", "a.csv", "c[1].csv")]
    assert expand([str(tmp_path / "*.csv")]) == sorted(map(Path, paths))
    assert expand([paths[2], paths[0]]) == [Path(paths[2]), Path(paths[0])]


def test_many_files_are_one_table(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,n\n1,2\n3,4\n")
    second = write(tmp_path / "b.csv", "n,id\n6,5\n")
    assert collect(scan((first, second), None, {"id"}), "x").rows() == [("1", 2), ("3", 4), ("5", 6)]
    assert [locate((first, second), None, row).removeprefix(str(tmp_path)) for row in (0, 1, 2)] == [
        "/a.csv: row 1",
        "/a.csv: row 2",
        "/b.csv: row 1",
    ]


def test_files_that_differ_are_refused(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", "id,n\n1,2\n")
    second = write(tmp_path / "b.csv", "id,m\n1,2\n")
    with pytest.raises(InputError, match=r"b\.csv: columns differ from those of .*a\.csv: id, m; expected id, n"):
        scan((first, second))
    for name, values in (("a", [1]), ("b", ["1"]), ("c", [None])):
        pl.DataFrame({"id": values}).write_parquet(tmp_path / f"{name}.parquet")
    pl.DataFrame({"id": pl.Series([2], dtype=pl.Int16)}).write_parquet(tmp_path / "d.parquet")
    parquet = [str(tmp_path / f"{name}.parquet") for name in "abcd"]
    with pytest.raises(InputError, match=r"b\.parquet: column 'id' is String, but Int64 in .*a\.parquet"):
        scan((parquet[0], parquet[1]))
    assert collect(scan((parquet[0], parquet[2], parquet[3])), "x")["id"].to_list() == [1, None, 2]
