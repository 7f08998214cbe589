"""``dagfm explain``: what an engineer reads, what a machine reads, which rows, and refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from clicks import Finished, click_log, small_config
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app


def invoke(*arguments: str | Path | int) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["explain", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a cross, a click rate and two fields of one column."""
    folder = tmp_path_factory.mktemp("crossed")
    click_log(600).write_parquet(folder / "clicks.parquet")
    config = small_config(Path("clicks.parquet"), student={"network": "dagfm", "depth": 1, "connect": "none"})
    config["fields"] += [
        {"name": "user x group", "cross": ["user", "group"]},
        {"name": "rate", "column": "user", "encode": "target", "side": "context"},
    ]
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    dagfm.fit(folder / "dagfm.yaml", folder / "run")
    return folder


def test_a_row_is_told_as_a_sum(finished: Finished) -> None:
    rows = pl.read_parquet(finished.test_file)
    code, out, err = invoke(finished.bundle, finished.test_file)
    assert code == 0
    (expected,) = dagfm.load(finished.bundle).explain(rows[:1])
    title = f"{finished.test_file}: row 1: probability {expected.probability:.4f}, logit {expected.logit:+.4f}\n"
    assert out.startswith(title)
    empty = re.search(r"an empty row: 0\.\d{4}, logit (\S+); to which its fields add:", out)
    assert empty is not None
    assert float(empty[1]) == pytest.approx(expected.empty_logit, abs=1e-4)
    told = re.search(r"  logit (\S+) = bias (\S+)  single fields (\S+)  pairs (\S+)  triples (\S+)\n", out)
    assert told is not None
    logit, *parts = map(float, told.groups())
    assert logit == pytest.approx(sum(parts), abs=3e-4)
    assert "calibrated" not in out
    fields, pairs, paths = re.split(r"pair that ends products|strongest paths", out)
    assert all(re.search(rf"^ {name} ", fields, re.M) for name in dagfm.load(finished.bundle).schema.names)
    assert f" {rows['user'][0]} " in fields
    assert len(re.findall(r" × .* [+-]\d\.\d{4}", pairs)) == 6
    assert "9 more" in pairs
    assert len(re.findall(r"[+-]\d\.\d{4}", paths)) == 5
    assert "'connect: causal' mixes into it of fields before it" in paths
    assert err == f"1 of {rows.height} rows; --row N and --rows N choose others\n"


def test_json_is_what_python_says(finished: Finished) -> None:
    rows = pl.read_parquet(finished.test_file)
    code, out, err = invoke(finished.run, finished.test_file, "--row", 3, "--row", 2, "--paths", 2, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)["explanations"]
    assert [one.pop("row") for one in found] == [3, 2]
    expected = dagfm.load(finished.bundle).explain(rows[[2, 1]], paths=2)
    assert found == [json.loads(json.dumps(one.as_dict())) for one in expected]
    assert len(json.loads(invoke(finished.run, finished.test_file, "--rows", 7, "--json")[1])["explanations"]) == 7
    every = json.loads(invoke(finished.run, finished.test_file, "--rows", 10**6, "--json")[1])["explanations"]
    assert [one["row"] for one in every] == list(range(1, rows.height + 1))


def test_what_the_model_does_not_know_is_said(crossed: Path, folder: Path) -> None:
    row: dict[str, Any] = click_log(1).drop("click").row(0, named=True)
    strange = row | {"user": "no\nbody " + "x" * 50, "tags": "a|zz", "price": None, "group": None}
    pl.DataFrame([row, strange], schema=click_log(1).drop("click").schema).write_parquet("rows.parquet")
    code, out, err = invoke(crossed / "run", "rows.parquet", "--rows", 2)
    assert (code, err) == (0, "")
    known, unknown = out.split("row 2: ")
    assert re.search(rf"^ user x group +{row['user']} × {row['group']} ", known, re.M)
    assert re.search(rf"^ rate +{row['user']} .* \d\.\d{{4}} $", known, re.M)
    assert "(" not in known.split("adds")[1]
    assert re.search(r"^ user +no body x+\.\.\. \(unknown\) ", unknown, re.M)
    assert re.search(r"^ rate +no body x+\.\.\. \(missing\) ", unknown, re.M)
    assert re.search(r"^ user x group +no body x+\.\.\. \(unknown\) +[+-]\d\.\d{4} *$", unknown, re.M)
    assert re.search(r"^ tags +a\|zz \(partly unknown\) ", unknown, re.M)
    assert re.search(r"^ price +missing +[+-]0\.0000 ", unknown, re.M)
    assert "connect" not in out
    assert "triples" not in out


def test_rows_of_text_files_are_read_as_predict_reads_them(crossed: Path, folder: Path) -> None:
    rows = click_log(3).with_columns(pl.lit(None).alias("position"), pl.lit("x").alias("surplus"))
    rows.write_csv("rows.dat")
    assert invoke(crossed / "run", "rows.dat")[0] == 2
    code, out, _ = invoke(crossed / "run", "rows.dat", "--format", "csv", "--row", 3, "--json")
    assert code == 0
    (found,) = json.loads(out)["explanations"]
    assert found["probability"] == pytest.approx(float(dagfm.load(crossed / "run").predict(rows[2:])[0]), abs=1e-6)


def test_one_field(folder: Path) -> None:
    click_log(400).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"), student={"network": "dagfm", "depth": 1})
    config["fields"] = [{"name": "user"}]
    dagfm.fit(config, "run")
    code, out, _ = invoke("run", "clicks.parquet")
    assert code == 0
    assert "pair that" not in out
    assert re.search(r"^ user × user +[+-]\d\.\d{4} $", out, re.M)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--row", 900), "test.parquet: row 900: there are 500 rows"),
        (("--row", 0), "--row"),
        (("--rows", 0), "--rows"),
        (("--row", 1, "--rows", 2), "give --row or --rows, not both"),
        (("--paths", -1), "--paths"),
    ],
)
def test_wrong_options(finished: Finished, arguments: tuple[str | int, ...], told: str) -> None:
    code, out, err = invoke(finished.bundle, finished.test_file, *arguments)
    assert (code, out) == (2, "")
    assert told in err


def test_a_refused_cell_is_told_with_its_row_in_the_file(crossed: Path, folder: Path) -> None:
    rows = click_log(9).with_columns(pl.col("price").cast(pl.String), pl.lit(None).alias("position"))
    rows[6, "price"] = "dear"
    rows.write_csv("rows.csv")
    code, out, err = invoke(crossed / "run", "rows.csv", "--row", 2, "--row", 7)
    assert (code, out) == (2, "")
    assert "rows.csv: row 7: column 'price' holds 'dear'" in err
    assert invoke(crossed / "run", "rows.csv", "--rows", 6)[0] == 0


def test_a_missing_column_and_a_head_with_hidden_layers(crossed: Path, folder: Path) -> None:
    click_log(5).drop("price").write_parquet("rows.parquet")
    code, _, err = invoke(crossed / "run", "rows.parquet")
    assert code == 2
    assert "column 'price' is in none of the files" in err
    click_log(400).write_parquet("clicks.parquet")
    student = {"network": "dagfm", "depth": 1, "head": "mlp", "hidden": [4]}
    dagfm.fit(small_config(Path("clicks.parquet"), student=student), "deep")
    code, out, err = invoke("deep", "clicks.parquet")
    assert (code, out) == (2, "")
    assert "error: explain needs a linear head" in err
