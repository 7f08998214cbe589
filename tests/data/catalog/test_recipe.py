"""From files to a configuration: which files belong together, how many rows they have, what is written."""

from __future__ import annotations

import dataclasses
import gzip
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
import yaml
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

from dagfm.data.catalog import DataSet, find
from dagfm.data.catalog.avazu import KAGGLE
from dagfm.data.catalog.criteo import ORIGINAL, X1, X4
from dagfm.data.catalog.recipe import check
from dagfm.data.catalog.rows import count_rows
from dagfm.data.catalog.text import rendered
from dagfm.errors import InputError
from dagfm.schema import Field


def small(name: str, *counts: int) -> DataSet:
    """A data set whose first edition has so many rows."""
    dataset = find(name)
    first, *rest = dataset.editions
    parts = {
        role: dataclasses.replace(part, rows=rows)
        for (role, part), rows in zip(first.parts.items(), counts, strict=True)
    }
    return dataclasses.replace(dataset, editions=(dataclasses.replace(first, parts=parts), *rest))


def written(dataset: DataSet, *given: str | Path, output: Path = Path("c.yaml"), **options: Any) -> dict[str, Any]:
    """What the configuration holds."""
    config = yaml.safe_load(rendered(check(dataset, [str(one) for one in given], **options), output))
    assert list(config) == ["data", "embedding", "fields"]
    assert [Field(**field) for field in config["fields"]]
    return dict(config)


# What is written


def test_the_original_criteo_file(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(50))
    config = written(small("criteo-x4", 50), "train.txt")
    assert config["data"] == {
        "train": "train.txt",
        "format": "tsv",
        "columns": ["label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27))],
        "label": {"column": "label"},
        "split": {"by": "random", "ratios": [0.8, 0.1, 0.1], "seed": 2022},
    }
    assert config["fields"][0] == {"name": "I1", "type": "float", "encode": "log_squared", "min_count": 10}
    assert config["fields"][-1] == {"name": "C26", "type": "token", "min_count": 10}
    assert config["embedding"] == {"size": 16}


def test_the_other_variant(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(50))
    config = written(small("criteo-x4", 50), "train.txt", variant="002")
    assert config["embedding"] == {"size": 40}
    assert {field["min_count"] for field in config["fields"]} == {2}
    with pytest.raises(InputError, match="has no variant '003'; valid: 001, 002"):
        written(find("criteo-x4"), "train.txt", variant="003")


def test_three_files_replace_the_split_and_are_told_apart_by_name(folder: Path) -> None:
    for name, rows in (("train", 30), ("valid", 20), ("test", 10)):
        write(folder / f"{name}.csv", with_header(X1.columns, criteo_x1(rows)))
    dataset = small("criteo-x1", 30, 20, 10)
    expected = {"train": "train.csv", "valid": "valid.csv", "test": "test.csv", "format": "csv"}
    for given in (["train.csv"], ["test.csv", "valid.csv", "train.csv"], ["."]):
        data = written(dataset, *given)["data"]
        assert {key: data[key] for key in expected} == expected
        assert "split" not in data
        assert "columns" not in data


def test_without_telling_names_the_order_counts(folder: Path) -> None:
    for name, rows in (("a", 30), ("b", 20), ("c", 10)):
        write(folder / f"{name}.csv", with_header(X1.columns, criteo_x1(rows)))
    data = written(small("criteo-x1", 30, 20, 10), "a.csv", "b.csv", "c.csv")["data"]
    assert (data["train"], data["valid"], data["test"]) == ("a.csv", "b.csv", "c.csv")


def test_the_published_split_of_criteo_x4(folder: Path) -> None:
    for name in ("train", "valid", "test"):
        write(folder / f"{name}.csv", with_header(X4.columns, criteo(20)))
    data = written(find("criteo-x4"), "train.csv", allow_partial=True)["data"]
    assert data["label"] == {"column": "Label"}
    assert data["valid"] == "valid.csv"


@pytest.mark.parametrize("name", ["train", "train.csv", "train.gz"])
def test_avazu_under_kaggles_names(folder: Path, name: str) -> None:
    write(folder / name, avazu_text(40))
    config = written(small("avazu-x4", 40), name)
    assert config["data"]["format"] == "csv"
    assert config["data"]["label"] == {"column": "click"}
    assert config["fields"][0] == {"name": "hour", "column": "hour", "encode": "hour", "time_format": "%y%m%d%H"}


def test_avazus_published_split(folder: Path) -> None:
    for name in ("train", "valid", "test"):
        write(folder / f"{name}.csv", avazu_text(20))
    data = written(find("avazu-x4"), "train.csv", "valid.csv", "test.csv", allow_partial=True)["data"]
    assert data["test"] == "test.csv"


def test_parquet_needs_no_reading_options(folder: Path) -> None:
    frame = pl.DataFrame(avazu(40), schema=list(KAGGLE.columns), orient="row")
    (folder / "parts").mkdir()
    frame[:30].write_parquet(folder / "parts" / "1.parquet")
    frame[30:].write_parquet(folder / "parts" / "2.parquet")
    data = written(small("avazu-x4", 40), "parts/*.parquet")["data"]
    assert data["train"] == "parts/*.parquet"
    assert "format" not in data
    frame.drop("C20").write_parquet(folder / "parts" / "2.parquet")
    with pytest.raises(InputError, match=r"2\.parquet: .*lacks C20.*Expected a file like parts/1\.parquet"):
        written(small("avazu-x4", 40), "parts/*.parquet")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (frappe_text, ("train.csv", "valid.csv", "test.csv")),
        (libfm_text, ("frappe.train.libfm", "frappe.validation.libfm", "frappe.test.libfm")),
        (libfm_text, ("train.libsvm", "valid.libsvm", "test.libsvm")),
    ],
)
def test_frappe_in_its_three_forms(folder: Path, text: Any, names: tuple[str, ...]) -> None:
    for name in names:
        write(folder / name, text(20))
    config = written(find("frappe-x1"), names[0], allow_partial=True)
    assert (config["data"]["train"], config["data"]["valid"], config["data"]["test"]) == names
    assert config["data"].get("separator") == (None if text is frappe_text else " ")
    assert config["embedding"] == {"size": 10}


def test_movielens_1m_as_three_files(folder: Path) -> None:
    (folder / "ml-1m").mkdir()
    ml_1m(folder / "ml-1m", 90)
    dataset = small("ml-1m", 90, 40, 60)
    for given in ("ml-1m", "ml-1m/ratings.dat"):
        checked = check(dataset, [given])
        data = yaml.safe_load(rendered(checked, Path("out/c.yaml")))["data"]
        assert data["train"] == "../ml-1m/ratings.dat"
        assert data["separator"] == "::"
        assert data["tables"] == {
            "user_id": {
                "path": "../ml-1m/users.dat",
                "format": "csv",
                "separator": "::",
                "columns": ["user_id", "gender", "age", "occupation", "zip_code"],
            },
            "movie_id": "c-movies.parquet",
        }
        films = checked.side_tables()["movie_id"]
        assert films.columns == ["movie_id", "year", "genres"]
        assert films["year"].null_count() == 0
        assert films.row(0) == (1, 1931, "Children's|Comedy")


def test_movielens_1m_as_one_table(folder: Path) -> None:
    columns = ["user_id", "gender", "age", "occupation", "movie_id", "year", "genres", "rating"]
    pl.DataFrame([[1, "F", 18, 3, 2, 1999, "Drama|War", 4]] * 3, schema=columns, orient="row").write_parquet(
        "m.parquet"
    )
    data = written(find("ml-1m"), "m.parquet", allow_partial=True)["data"]
    assert data == {
        "train": "m.parquet",
        "label": {"column": "rating", "positive_from": 4, "drop": [3]},
        "split": {"by": "random", "ratios": [0.8, 0.1, 0.1], "seed": 2022},
    }


def test_a_missing_file_of_the_set_is_named(folder: Path) -> None:
    ml_1m(folder, 90)
    (folder / "users.dat").unlink()
    with pytest.raises(InputError, match=r"ratings\.dat: users\.dat is missing: neither given nor beside it"):
        check(find("ml-1m"), ["ratings.dat"])


def test_files_that_are_no_set_are_refused(folder: Path) -> None:
    for name in "ab":
        write(folder / name, criteo_text(9))
    with pytest.raises(
        InputError, match=r"a, b: not one set of files of criteo-x4; expected train\.txt or train\.csv, "
    ):
        check(find("criteo-x4"), ["a", "b"])
    with pytest.raises(InputError, match=r"\.: a folder without train\.txt or train\.csv, valid\.csv, test\.csv"):
        check(find("criteo-x4"), ["."])


# Rows


def test_a_cut_copy_is_refused_and_taken_when_allowed(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(40))
    with pytest.raises(
        InputError, match=r"train\.txt: 40 rows, expected 45,840,617: a copy that was cut short, or a sam"
    ):
        check(find("criteo-x4"), ["train.txt"])
    text = rendered(check(find("criteo-x4"), ["train.txt"], allow_partial=True), Path("c.yaml"))
    assert "# PARTIAL: not the whole data set. Rows: 40 of 45,840,617 (train)." in text
    text = rendered(check(find("criteo-x4"), ["train.txt"], count=False), Path("c.yaml"))
    assert "# The rows were not counted" in text
    text = rendered(check(small("criteo-x4", 40), ["train.txt"]), Path("c.yaml"))
    assert "# Rows, counted and as expected: 40 (train)." in text


def test_a_line_that_was_cut_is_refused_even_where_a_part_is_allowed(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(400)[:-100])
    with pytest.raises(InputError, match=r"the last line has \d+ columns, expected 40: the copy was cut short"):
        check(find("criteo-x4"), ["train.txt"], allow_partial=True)


def test_a_gzip_file_that_was_cut_is_refused(folder: Path) -> None:
    data = gzip.compress(avazu_text(20_000).encode())
    (folder / "train.gz").write_bytes(data[: len(data) - 1000])
    with pytest.raises(InputError, match=r"train\.gz: the gzip file is damaged or cut short"):
        check(find("avazu-x4"), ["train.gz"], allow_partial=True)


def test_more_rows_are_another_version(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(41))
    with pytest.raises(InputError, match="41 rows, expected 40: another version"):
        check(small("criteo-x4", 40), ["train.txt"])


def test_the_train_file_of_another_set_is_told(folder: Path) -> None:
    write(folder / "train.csv", avazu_text(40))
    dataset = find("avazu-x4")
    parts = {role: dataclasses.replace(part, rows=40) for role, part in dataset.editions[1].parts.items()}
    dataset = dataclasses.replace(
        dataset, editions=(dataset.editions[0], dataclasses.replace(dataset.editions[1], parts=parts))
    )
    with pytest.raises(
        InputError, match=r"as many has train\.csv of the set train\.csv, valid\.csv, test\.csv: give all"
    ):
        check(dataset, ["train.csv"])


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n"])
def test_rows_are_counted_whatever_the_end(tmp_path: Path, end: str) -> None:
    text = criteo_text(25).rstrip("\n") + end
    read: list[int] = []
    for name in ("a.txt", "a.txt.gz"):
        path = write(tmp_path / name, text)
        assert count_rows(path, ORIGINAL, read.append) == 25
        assert sum(read) == path.stat().st_size
        read.clear()
    with pa.output_stream(str(tmp_path / "a.zst"), compression="zstd") as stream:
        stream.write(text.encode())
    assert count_rows(tmp_path / "a.zst", ORIGINAL, read.append) == 25


def test_a_header_is_no_row(tmp_path: Path) -> None:
    assert count_rows(write(tmp_path / "a.csv", avazu_text(7)), KAGGLE, lambda read: None) == 7


# Comments


def test_what_one_should_know_stands_in_the_file(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(10))
    text = rendered(check(small("criteo-x4", 10), ["train.txt"]), Path("c.yaml"))
    assert text.startswith("# dagfm data prepare c.yaml; dagfm fit c.yaml\n")
    assert "CC BY-NC-SA 4.0" in text
    assert "#   DCNv2        .814514 / .437631" in text
    assert max(map(len, text.splitlines())) < 400
