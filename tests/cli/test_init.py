"""``dagfm init``: the file it writes loads, says why, and overwrites nothing unasked."""

from __future__ import annotations

import csv
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dagfm.cli.app import app
from dagfm.cli.init_text import scalar
from dagfm.config import Config, load_config
from dagfm.data.prepare import prepare

ODD = [
    "user: id",
    "#tag",
    "größe",
    "名前",
    "a b",
    "'q'",
    '"dq"',
    "yes",
    "12",
    "-",
    "{x}",
    "tab\tin",
    "two\nlines",
    "null",
]
COLUMNS = {
    "click": [0, 1, 1, 0] * 60,
    "user_id": [index % 17 for index in range(240)],
    "genres": ["a|b", "b|c|d", "c|a", "d", "d|a", "a|c"] * 40,
    "price": [index / 7 for index in range(240)],
    "request": [f"r{index}" for index in range(240)],
}


def _init(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["init", *arguments])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _parquet() -> str:
    pl.DataFrame(COLUMNS).write_parquet("log.parquet")
    return "log.parquet"


def _separated(separator: str, name: str) -> str:
    pl.DataFrame(COLUMNS).write_csv(name, separator=separator)
    return name


def _recbole() -> str:
    kinds = {"click": "float", "user_id": "token", "genres": "token", "price": "float", "request": "token"}
    frame = pl.DataFrame(COLUMNS).rename({name: f"{name}:{kind}" for name, kind in kinds.items()})
    frame.write_csv("log.inter", separator="\t")
    Path("log.user").write_text(
        "user_id:token\tage:token\n" + "".join(f"{index}\t{20 + index % 3}\n" for index in range(17))
    )
    return "log.inter"


@pytest.mark.parametrize("kind", ["parquet", "csv", "tsv", "recbole"])
def test_the_written_file_can_be_prepared_and_says_why(folder: Path, kind: str) -> None:
    file = {
        "parquet": _parquet,
        "csv": lambda: _separated(",", "log.csv"),
        "tsv": lambda: _separated("\t", "log.tsv"),
        "recbole": _recbole,
    }[kind]()
    code, out, err = _init(file)
    assert (code, out) == (0, "dagfm.yaml\n")
    assert err == "read its comments, then run: dagfm fit dagfm.yaml\n"
    text = Path("dagfm.yaml").read_text(encoding="utf-8")
    config = load_config("dagfm.yaml")
    assert config.data.train == (str(folder / file),)
    assert config.data.label.column == "click"
    assert len(prepare(config, folder).train) > 0
    names = [field.name for field in config.fields]
    assert names == ["user_id", "genres", "price", *(["age"] if kind == "recbole" else [])]
    assert {field.side for field in config.fields} == {None}
    assert "# side: context  # the name says 'user'" in text
    assert "# - request is different in every row" in text
    assert "guessed from its name" in text
    if kind == "recbole":
        assert config.data.tables["user_id"].path == str(folder / "log.user")
    else:
        genres = config.fields[1]
        assert (genres.type, genres.separator, genres.max_length) == ("token_seq", "|", 3)


def test_it_writes_what_it_inferred_and_nothing_else(folder: Path) -> None:
    _init(_parquet())
    written = yaml.safe_load(Path("dagfm.yaml").read_text())
    assert written.keys() == {"data", "fields"}
    assert written["data"].keys() == {"train", "label"}
    keys = {key for field in written["fields"] for key in field}
    assert keys == {"name", "type", "separator", "max_length"}


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_odd_column_names(folder: Path, suffix: str) -> None:
    # polars leaves quotes within a quoted header doubled, and a header has to end with its line.
    names = ODD if suffix == "parquet" else [name for name in ODD if not {"\n", '"'} & set(name)]
    rows = {name: [index % 5 for index in range(240)] for name in names}
    rows["is: click #1"] = [index % 2 for index in range(240)]
    if suffix == "parquet":
        pl.DataFrame(rows).write_parquet("log.parquet")
    else:
        with Path("log.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(rows)
            writer.writerows(zip(*rows.values(), strict=True))
    code, _, err = _init(f"log.{suffix}", "--label", "is: click #1")
    assert (code, err[:10]) == (0, "read its c")
    config = load_config("dagfm.yaml")
    assert [field.name for field in config.fields] == names
    assert config.data.label.column == "is: click #1"


def test_odd_names_that_are_left_out_stay_in_their_comment(folder: Path) -> None:
    pl.DataFrame({**COLUMNS, "a\nfields: 1": [1] * 240, "b\x00": ["\x07\n"] * 240}).write_parquet("log.parquet")
    assert _init("log.parquet")[0] == 0
    load_config("dagfm.yaml")


def test_paths_are_relative_to_the_configuration(folder: Path) -> None:
    file = folder / "in" / "log.parquet"
    file.parent.mkdir()
    pl.DataFrame(COLUMNS).write_parquet(file)
    for given_path, written in (("in/log.parquet", "../in/log.parquet"), (str(file), str(file))):
        assert _init(given_path, "-o", "conf/a.yaml", "--force")[0] == 0
        text = Path("conf/a.yaml").read_text()
        assert yaml.safe_load(text)["data"]["train"] == written
        assert Path(load_config("conf/a.yaml").data.train[0]).samefile(file)


def test_it_does_not_overwrite_unasked(folder: Path) -> None:
    Path("dagfm.yaml").write_text("mine")
    code, out, err = _init(_parquet())
    assert (code, out) == (2, "")
    assert "dagfm.yaml: exists already" in err
    assert Path("dagfm.yaml").read_text() == "mine"
    assert _init(_parquet(), "--force")[0] == 0
    assert isinstance(load_config("dagfm.yaml"), Config)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "click,a\n", "a.csv"),
        ("a.csv", "", "a.csv"),
        ("a.xyz", "click,a\n1,2\n", "a.xyz"),
        ("a.parquet", "no parquet", "a.parquet"),
        ("a.csv", "a,b\n1,2\n2,3\n", "pass --label. Columns: a, b"),
    ],
)
def test_refused_input_leaves_nothing(folder: Path, name: str, text: str, message: str) -> None:
    Path(name).write_text(text)
    code, out, err = _init(name)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("dagfm.yaml").exists()


@given(st.text())
def test_any_text_is_one_line_of_yaml(value: str) -> None:
    text = scalar(value)
    assert "\n" not in text
    assert yaml.safe_load(f"a: {text}") == {"a": value}
    assert yaml.safe_load(f"- name: {text}  # comment") == [{"name": value}]


def test_time_parts_and_warnings(folder: Path) -> None:
    stamps = [f"2024/5/{1 + index % 28} {index % 24:02d}:30" for index in range(240)]
    zips = [f"{index % 40:05d}" for index in range(240)]
    pl.DataFrame({**COLUMNS, "seen at": stamps, "zip": zips}).write_parquet("log.parquet")
    code, _, err = _init("log.parquet")
    assert code == 0 and "zip: leading zeros, such as 00000" in err
    text = Path("dagfm.yaml").read_text()
    assert "    # CHECK: leading zeros, such as 00000" in text
    fields = {field.name: field for field in load_config("dagfm.yaml").fields}
    assert (fields["hour"].column, fields["hour"].encode) == ("seen at", "hour")
    assert fields["is_weekend"].time_format == "%Y/%m/%d %H:%M"
    suggested = next(line for line in text.splitlines() if line.startswith("  # split:"))
    split = yaml.safe_load(suggested.replace("# ", "", 1))["split"]
    assert split == {"by": "time", "column": "seen at", "time_format": "%Y/%m/%d %H:%M"}
    Path("dagfm.yaml").write_text(text.replace(suggested, suggested.replace("# ", "", 1)))
    assert load_config("dagfm.yaml").data.split.by == "time"
