import logging
from pathlib import Path

import polars as pl
import pytest

from dagfm.config.models import DataConfig
from dagfm.data.table import load_table
from dagfm.errors import InputError


def write(path: Path, data: str) -> str:
    path.write_text(data)
    return str(path)


def config(log: str, **tables: str) -> DataConfig:
    return DataConfig.model_validate({"train": log, "label": "click", "tables": tables})


@pytest.fixture
def log_file(tmp_path: Path) -> str:
    return write(tmp_path / "log.csv", "user,item,click\n2,b,1\n1,a,0\n2,zz,1\n,a,0\n")


def test_only_what_is_asked_for_in_that_order(log_file: str) -> None:
    frame = load_table(config(log_file), ["click", "user"], (log_file,))
    assert frame.rows() == [("1", "2"), ("0", "1"), ("1", "2"), ("0", None)]


def test_side_tables_are_joined_in_the_logs_order(
    tmp_path: Path, log_file: str, caplog: pytest.LogCaptureFixture
) -> None:
    pl.DataFrame({"user": [1.0, 2.0, None], "age": [31, 42, 0]}).write_parquet(tmp_path / "u.parquet")
    items = write(tmp_path / "i.csv", "item,kind\nb,B\na,A\nc,C\n")
    data = config(log_file, user=str(tmp_path / "u.parquet"), item=items)
    with caplog.at_level(logging.WARNING):
        frame = load_table(data, ["user", "age", "kind"], data.train)
    assert frame.rows() == [("2", 42, "B"), ("1", 31, "A"), ("2", 42, None), (None, None, "A")]
    assert [record.getMessage().rpartition("/")[2] for record in caplog.records] == [
        "u.parquet: 1 of 4 rows have a 'user' that is not in it",
        "i.csv: 1 of 4 rows have a 'item' that is not in it",
    ]


def test_without_a_configuration(log_file: str) -> None:
    assert load_table(None, ["item"], (log_file,)).columns == ["item"]


def test_repeated_keys_are_refused(tmp_path: Path, log_file: str) -> None:
    users = write(tmp_path / "u.csv", "user,age\n1,31\n2,4\n1,32\n")
    with pytest.raises(InputError, match=r"u\.csv: key 'user' '1' occurs twice, expected once"):
        load_table(config(log_file, user=users), ["age"], (log_file,))


def test_columns_found_nowhere_or_twice_are_refused(tmp_path: Path, log_file: str) -> None:
    users = write(tmp_path / "u.csv", "user,age,click\n1,31,0\n")
    data = config(log_file, user=users)
    message = (
        r"column 'aeg' is in none of the files: .*log\.csv has user, item, click; "
        r".*u\.csv has user, age, click\. Did you mean 'age'\?"
    )
    with pytest.raises(InputError, match=message):
        load_table(data, ["aeg"], data.train)
    with pytest.raises(InputError, match=r"column 'click' is in .*log\.csv and in .*u\.csv; rename or remove one"):
        load_table(data, ["click"], data.train)
    assert load_table(data, ["age"], data.train).height == 4  # a repeated column that nobody asks for does no harm


def test_a_key_must_be_on_both_sides(tmp_path: Path, log_file: str) -> None:
    users = write(tmp_path / "u.csv", "id,age\n1,31\n")
    with pytest.raises(InputError, match=r"u\.csv: key column 'user' of table .*u\.csv is missing; columns: id, age"):
        load_table(config(log_file, user=users), ["age"], (log_file,))
    with pytest.raises(InputError, match=r"log\.csv: key column 'id' of table .*u\.csv is missing; columns: user, "):
        load_table(config(log_file, id=users), ["age"], (log_file,))
