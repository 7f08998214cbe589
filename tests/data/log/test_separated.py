import gzip
from pathlib import Path

import pyarrow as pa
import pytest
from logs import opened, rows_of, write

from dagfm.errors import InputError


@pytest.mark.parametrize(
    "data",
    [
        b"id,n\r\n007,1\r\nx,2\r\n",
        b"\xef\xbb\xbfid,n\n007,1\nx,2",
        b'"id",n\n"007",1\nx,2\n',
        b'"id",n\n"0""07",1\nx,2\n',
        b'id,n\n"0\n07",1\nx,2\n',
        b'id,n\n"0\r07",1\nx,2\n',
        b'id,n\n"0""""07",1\nx"",2\n',
        b"id,n\n007,1\nx,2\n\n\r\n\n",
    ],
)
def test_the_shapes_that_csv_comes_in(tmp_path: Path, data: bytes) -> None:
    frame = opened(write(tmp_path / "a.csv", data), tmp_path).frame(["id", "n"])
    assert frame["id"].str.replace_all('[\r\n"]', "").to_list() == ["007", "x"]
    assert frame["n"].to_list() == ["1", "2"]


def test_everything_stays_text_and_nothing_is_null(tmp_path: Path) -> None:
    log = opened(write(tmp_path / "a.csv", 'a,b,c\n007,12.0,1e5\nNA,null,""\n, x ,9223372036854775808\n'), tmp_path)
    assert set(log.types.values()) == {pa.string()}
    assert rows_of(log) == [("007", "12.0", "1e5"), ("NA", "null", None), (None, " x ", "9223372036854775808")]


def test_a_quote_within_a_cell_is_a_character(tmp_path: Path) -> None:
    log = opened(write(tmp_path / "a.csv", 'id,n\n5" nails,1\n"a\n""b"" c",2\nx,3"\n'), tmp_path)
    assert rows_of(log) == [('5" nails', "1"), ('a\n"b" c', "2"), ("x", '3"')]


def test_without_quotes_or_with_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,n\n"a,"b\n')
    assert rows_of(opened(path, tmp_path, quote=None)) == [('"a', '"b')]
    path = write(tmp_path / "b.csv", "'i,d',n\n'a,\n''c',\"b\n")
    log = opened(path, tmp_path, quote="'")
    assert list(log.types) == ["i,d", "n"]
    assert rows_of(log) == [("a,\n'c", '"b')]


def test_a_column_of_one_may_be_empty(tmp_path: Path) -> None:
    assert rows_of(opened(write(tmp_path / "a.csv", "id\n1\n\n2\n"), tmp_path)) == [("1",), (None,), ("2",)]


@pytest.mark.parametrize("separator", ["::", "\t|\t", "¦", "§§", "ab"])
def test_separators_of_several_characters(tmp_path: Path, separator: str) -> None:
    lines = [["1", f'"x{separator}y"', "5:"], ["", "é:b", ""]]
    path = write(tmp_path / "ratings.dat", "".join(separator.join(cells) + "\n" for cells in lines))
    log = opened(path, tmp_path, separator=separator, columns=("user", "title", "rating"))
    assert rows_of(log) == [("1", f"x{separator}y", "5:"), (None, "é:b", None)]
    with pytest.raises(InputError, match=r"ratings\.dat: line 1 has 3 cells, 'columns' names 2"):
        opened(path, tmp_path, separator=separator, columns=("user", "title"))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-16-be", "utf-32", "utf-8-sig"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", 'naïve,n\nçé,"1\n2"\n'.encode(encoding))
    log = opened(path, tmp_path, encoding=encoding)
    assert list(log.types) == ["naïve", "n"]
    assert rows_of(log) == [("çé", "1\n2")]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_compressed_files(tmp_path: Path, suffix: str) -> None:
    text = b"id,n\n" + b"".join(b"%d,%d\n" % (row, row % 7) for row in range(1000))
    packed = gzip.compress(text) if suffix == ".gz" else pa.Codec("zstd").compress(text, asbytes=True)
    assert len(opened(write(tmp_path / f"a.csv{suffix}", packed), tmp_path)) == 1000
    for damaged in (packed[: len(packed) // 2], b"no such thing"):
        with pytest.raises(InputError, match=rf"b\.csv\{suffix}: cannot be read, the file is cut or damaged"):
            opened(write(tmp_path / f"b.csv{suffix}", damaged), tmp_path)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", "\n\n", "a.csv: the file is empty"),
        ("a.csv", "id,n\n", "a.csv: the table has no rows; its columns: id, n"),
        ("a.csv", "id,n\n\n\r\n", "a.csv: the table has no rows"),
        ("a.csv", "id,n,id\n1,2,3\n", "a.csv: column 'id' occurs twice in the header: id, n, id"),
        ("a.csv", "id,n\n1,2\n3\n", "a.csv: line 3 has 1 cells, the header has 2 columns"),
        ("a.csv", "id,n\n1,2,3\n", "a.csv: line 2 has 3 cells"),
        ("a.csv", "id,n\n1,2,3\n4\n", "a.csv: line 2 has 3 cells"),
        ("a.csv", "id,n\n1,2\n\n3,4\n", "a.csv: line 3 has 0 cells, the header has 2 columns"),
        ("a.csv", "id,n\r\n1,2\r\n\r\n3,4\r\n", "a.csv: line 3 has 0 cells"),
        ("a.csv", 'id,n\n"1,2",3\n"4,5"\n', "a.csv: line 3 has 1 cells"),
        ("a.csv", 'id,n\n"1\n,2",3\n"4\n5"\n', "a.csv: line 4 has 1 cells"),
        ("a.csv", b"id,n\n1,2\n\xff,3\n", "a.csv: line 3 is not UTF-8 text .*at byte 9 of the file.*set 'encoding'"),
        ("a.csv", b"\xef\xbb\xbfid,n\n1,\xff\n", "a.csv: line 2 is not UTF-8 text .*at byte 10 of the file"),
        ("a.csv", b"i\xff,n\n1,2\n", "a.csv: line 1 is not UTF-8 text .*byte 1"),
        ("a.csv", 'id,n\nx,y\n"1,2\n3,4\n', r"a.csv: line 3: the quote \(\"\) that opens there is never closed"),
        ("a.csv", "id,n\r1,2\r", "a.csv: line 1 holds a carriage return alone"),
        ("a.csv", b'id,n\n"a\rb",1\nc\r,2\n', "a.csv: line 3 holds a carriage return alone"),
        ("a.tsv", "id\tn\n1\t2\n3\n", "a.tsv: line 3 has 1 cells"),
    ],
)
def test_what_is_no_table_is_refused_by_line(tmp_path: Path, name: str, data: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(write(tmp_path / name, data), tmp_path)


def test_undecodable_bytes_of_other_encodings(tmp_path: Path) -> None:
    cut = "id,n\né,1\n".encode("utf-16-be")[:-1]
    with pytest.raises(InputError, match=r"a\.csv: line 2 is not UTF-16-BE text .*at byte 16 of the file"):
        opened(write(tmp_path / "a.csv", cut), tmp_path, encoding="utf-16-be")
    text = "id,n\n" + "x,1\n" * 700_000
    wrong = text.encode("utf-16") + b"\x00\xdc\x0a\x00"
    with pytest.raises(InputError, match=rf"b\.csv: line 700002 is not UTF-16 text .*at byte {len(wrong) - 4} of"):
        opened(write(tmp_path / "b.csv", wrong), tmp_path, encoding="utf-16")


def test_a_short_line_far_from_the_beginning(tmp_path: Path) -> None:
    text = "id,n\n" + '"1\n",2\n' * 400_000 + "3\n"
    with pytest.raises(InputError, match=r"a\.csv: line 800002 has 1 cells"):
        opened(write(tmp_path / "a.csv", text), tmp_path)


def test_a_cell_of_100_mb_is_read(tmp_path: Path) -> None:
    cell = "x" * 100_000_000
    log = opened(write(tmp_path / "a.csv", f'id,n\n"{cell}",1\ny,2\n'), tmp_path)
    assert log.frame(["id"])["id"].str.len_bytes().to_list() == [len(cell), 1]
