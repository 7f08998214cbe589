"""Which file is what: every layout is known by its first lines, and another one is called by its name."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from published import (
    avazu,
    avazu_text,
    criteo,
    criteo_text,
    criteo_x1,
    frappe_text,
    libfm_text,
    ml_1m,
    with_header,
    write,
)

from dagfm.data.catalog import CATALOG, find, movielens
from dagfm.data.catalog import avazu as of_avazu
from dagfm.data.catalog import criteo as of_criteo
from dagfm.data.catalog import frappe as of_frappe
from dagfm.data.catalog.entry import Layout
from dagfm.data.catalog.recognise import fault, fitting, layouts
from dagfm.data.catalog.sample import sample
from dagfm.errors import InputError

TEXTS: list[tuple[Layout, str]] = [
    (of_criteo.ORIGINAL, criteo_text(20)),
    (of_criteo.X4, with_header(of_criteo.X4.columns, criteo(20))),
    (of_criteo.X1, with_header(of_criteo.X1.columns, criteo_x1(20))),
    (of_avazu.KAGGLE, avazu_text(20)),
    (of_frappe.CSV, frappe_text(20)),
    (of_frappe.LIBFM, libfm_text(20)),
    (movielens.INTER, "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t2\t3\t4\n"),
    (movielens.RATINGS, "1::1193::5::978300760\n"),
    (movielens.USERS, "1::F::1::10::48067\n"),
    (movielens.MOVIES, "1::A film (1995)::Drama|War\n"),
]
every_text = pytest.mark.parametrize(("layout", "text"), TEXTS, ids=[layout.title for layout, _ in TEXTS])


def _refused(path: Path, name: str) -> str:
    with pytest.raises(InputError) as refused:
        fitting(sample(path), find(name))
    return str(refused.value)


@every_text
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_each_layout_is_known_and_is_no_other(tmp_path: Path, layout: Layout, text: str, suffix: str) -> None:
    begin = sample(write(tmp_path / f"file{suffix}", text, layout.encoding))
    known = {one.title: one for dataset in CATALOG.values() for one in (*layouts(dataset), *dataset.others)}
    del known[of_avazu.UNLABELLED.title]  # its columns are some of the training file's
    assert [title for title, one in known.items() if fault(begin, one) is None] == [layout.title]


@every_text
def test_windows_line_ends_and_a_byte_order_mark_do_not_matter(tmp_path: Path, layout: Layout, text: str) -> None:
    path = tmp_path / "file"
    mark = b"\xef\xbb\xbf" if layout.encoding == "utf-8" else b""
    path.write_bytes(mark + text.replace("\n", "\r\n").encode(layout.encoding))
    assert fault(sample(path), layout) is None


def test_zstd_is_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "train.txt.zst"
    with pa.output_stream(str(path), compression="zstd") as stream:
        stream.write(criteo_text(300).encode())
    begin = sample(path)
    assert fault(begin, of_criteo.ORIGINAL) is None
    assert len(begin.lines) == 200


def test_parquet_is_known_by_its_columns(tmp_path: Path) -> None:
    frame = pl.DataFrame(avazu(20), schema=list(of_avazu.KAGGLE.columns), orient="row")
    frame.with_columns(pl.col("click", "hour").cast(pl.Int64)).write_parquet(tmp_path / "a.parquet")
    assert fitting(sample(tmp_path / "a.parquet"), find("avazu-x4")) == [of_avazu.KAGGLE]
    frame.drop("C21").write_parquet(tmp_path / "b.parquet")
    assert "the columns id, click, hour" in (told := _refused(tmp_path / "b.parquet", "avazu-x4"))
    assert "lacks C21" in told


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (TEXTS[2][1], "criteo-x4", "this looks like a file of Criteo_x1 (numbers scaled already, categories numbered); "
         "'dagfm data recipe criteo-x1' reads it. Expected Criteo's original train.txt, text without a header"),
        (TEXTS[0][1], "criteo-x1", "this looks like Criteo's original train.txt"),
        (TEXTS[1][1], "criteo-x1", "'dagfm data recipe criteo-x4' reads it"),
        (TEXTS[3][1], "criteo-x4", "this looks like Avazu's training file"),
        ("".join(line.partition("\t")[2] + "\n" for line in criteo_text(9).splitlines()), "criteo-x4",
         "Criteo's test.txt (without the label); take train.txt"),
        (criteo_text(9).replace("\t", ","), "criteo-x4",
         "the first line has 40 columns separated by commas, expected 40 separated by tabs"),
        (with_header(of_avazu.UNLABELLED.columns, [[one[0], *one[2:]] for one in avazu(5)]), "avazu-x4",
         "Avazu's test file (without 'click'); take train"),
        (avazu_text(5).replace("banner_pos", "banner"), "avazu-x4", "lacks banner_pos. Did you mean 'banner'?"),
        ("user_id,item\n1,2\n", "avazu-x4", "the header id,click,hour,C1,banner_pos"),
        (with_header(of_avazu.X1.columns, [["0"] * 23]), "avazu-x4", "Avazu_x1 (anonymous feat_1 to feat_22)"),
        ("1\t242\t3\t881250949\n", "ml-100k", "this looks like GroupLens' u.data; 'dagfm data get ml-100k' gets"),
        ("1\t242\t3\t881250949\n", "ml-1m", "this looks like GroupLens' u.data"),
        ("userId,movieId,rating,timestamp\n1,2,3.5,9\n", "ml-1m", "this looks like ratings.csv of a newer MovieLens"),
        ("1,1193,5,978300760\n", "ml-1m", "4 columns separated by commas, expected 4 separated by '::'"),
        ("\t".join(of_frappe.LOG.columns) + "\n" + "\t".join("1" * 11) + "\n", "frappe-x1",
         "the original frappe.csv (uses alone, without negatives); take the three files of Frappe_x1"),
        (criteo_text(3) + criteo_text(1).replace("\t", "\tx", 1), "criteo-x4",
         "line 4: column 'I1' is 'x"),
        (criteo_text(3) + "1\t2\n" + criteo_text(1), "criteo-x4", "line 4 has 2 columns, expected 40"),
        ("PAR1 is how it begins, and nothing more", "criteo-x4", "not a Parquet file, or a damaged one"),
        ("id,click,hour\n", "avazu-x4", "the first line id,click,hour lacks C1, banner_pos"),
        (avazu_text(0), "avazu-x4", "a header and no rows"),
    ],
)  # fmt: skip
def test_another_file_is_called_by_its_name(tmp_path: Path, text: str, name: str, expected: str) -> None:
    path = write(tmp_path / "file.txt", text)
    told = _refused(path, name)
    assert told.startswith(str(path))
    assert expected in told


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "the file is empty"),
        (b"PK\x03\x04 zipped", "a zip archive; unpack it"),
        (b"BZh91AY", "packed with bzip2"),
        (bytes(257) + b"ustar" + bytes(250), "a tar archive; unpack it (tar xf file)"),
        (b"\x1f\x8b\x08\x00cut", "gzip file is damaged or cut short"),
        (b"\x28\xb5\x2f\xfdcut", "zstd file is damaged or cut short"),
    ],
)
def test_what_is_no_table_says_so(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(InputError) as refused:
        sample(path)
    assert expected in str(refused.value)


def test_a_folder_and_a_missing_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a folder, expected a file"):
        sample(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        sample(tmp_path / "train.txt")


def test_the_made_up_movies_are_known(tmp_path: Path) -> None:
    ml_1m(tmp_path, 30)
    for name, layout in (("ratings", movielens.RATINGS), ("users", movielens.USERS), ("movies", movielens.MOVIES)):
        assert fitting(sample(tmp_path / f"{name}.dat"), find("ml-1m")) == [layout]
