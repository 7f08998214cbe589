"""``dagfm export``: one thing at a time, what is measured and on which rows, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest
from clicks import Finished
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.files import MANIFEST


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["export", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_sizes_and_figures_before_and_after_on_the_runs_rows(finished: Finished, tmp_path: Path) -> None:
    new = tmp_path / "small"
    code, out, err = invoke(finished.run, "--weights", "int8", "-o", new, "--allow-loss", "0.05")
    assert (code, err) == (0, "")
    test = finished.served["metrics"]["test"]
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert f"{test['auc']:.5f}" in lines["auc"]
    assert f"{test['logloss']:.5f}" in lines["logloss"]
    assert {"weights", "embedding", "network", "bundle"} < set(lines)
    assert "on 500 test rows of the run; probabilities differ by up to" in lines["on"]
    assert dagfm.load(new).bundle.table.rows.dtype == "int8"


def test_rows_of_a_file_are_measured_by_the_label_rule(finished: Finished, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    invoke(finished.run, "--weights", "float32", "-o", alone)
    options = ("--rows", finished.test_file, "--json", "--allow-loss", "0.05")
    code, out, err = invoke(alone, "--weights", "float16", "-o", tmp_path / "small", *options)
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert told["on"] == f"rows of {finished.test_file}"
    assert told["rows"] == 500
    assert told["weights"] == {"before": "float32", "after": "float16"}
    assert told["before"]["auc"] == pytest.approx(finished.served["metrics"]["test"]["auc"], abs=1e-6)
    assert told["bytes"]["after"]["embedding"] == told["bytes"]["before"]["embedding"] / 2
    one_class = pl.read_parquet(finished.test_file).filter(pl.col("click") == 1)
    one_class.write_parquet(tmp_path / "ones.parquet")
    options = ("--rows", tmp_path / "ones.parquet")
    code, _, err = invoke(alone, "--weights", "float16", "-o", tmp_path / "other", *options)
    assert code == 2
    assert "expected both 0 and 1" in err
    assert not (tmp_path / "other").exists()


def test_what_could_not_be_measured_is_said(finished: Finished, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    invoke(finished.run, "--weights", "float32", "-o", alone)
    code, out, err = invoke(alone, "--weights", "int8", "-o", tmp_path / "small")
    assert code == 0
    assert "its accuracy is not known, as there were no labelled rows; name some with --rows" in err
    assert "auc" not in out
    assert "drawn rows; probabilities differ by up to" in out


def test_a_loss_ends_with_1_and_no_bundle(finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flipped = pl.read_parquet(finished.test_file).with_columns(click=1 - pl.col("click"))
    flipped.write_parquet(tmp_path / "flipped.parquet")
    codes = []
    for name, rows in (("small", finished.test_file), ("other", tmp_path / "flipped.parquet")):
        options = ("--rows", rows, "--allow-loss", "0")
        code, out, err = invoke(finished.run, "--weights", "int8", "-o", tmp_path / name, *options)
        codes.append(code)
        assert (tmp_path / name).exists() == (code == 0)
        if code:
            assert "Nothing was written" in err
            assert "allow it with --allow-loss" in err
            assert out == ""
    assert 1 in codes, "of a sample and its opposite one loses"


def test_small_bundles_hold_no_small_indexes(finished: Finished, tmp_path: Path) -> None:
    options = ("--weights", "int8", "--allow-loss", "0.05")
    assert invoke(finished.run, "-o", tmp_path / "small", *options)[0] == 0
    assert not list((tmp_path / "small").rglob("*.index"))
    rows = pl.read_parquet(finished.test_file)
    small = dagfm.load(tmp_path / "small")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dagfm.serving.smaller.QUICK", 40)
        assert invoke(finished.run, "-o", tmp_path / "large", *options)[0] == 0
        assert invoke(finished.run, "-o", tmp_path / "none", *options, "--no-indexes")[0] == 0
    indexes = [path.name for path in (finished.bundle).rglob("*.index")]
    assert [path.name for path in (tmp_path / "large").rglob("*.index")] == (["000.index"] if indexes else [])
    assert not list((tmp_path / "none").rglob("*.index"))
    assert (dagfm.load(tmp_path / "large").predict(rows) == small.predict(rows)).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "export needs one thing to write: --onnx FILE, or --weights float32|float16|int8 -o NEW"),
        (("--onnx", "m.onnx", "--weights", "int8", "-o", "new"), "export needs one thing to write"),
        (("--weights", "int8"), "--weights int8: needs -o NEW"),
        (("--weights", "int4", "-o", "new"), "weights are 'int4', expected float32, float16, int8"),
        (("--onnx", "m.onnx", "-o", "new"), "--output: is for --weights"),
        (("--onnx", "m.onnx", "--embedding-only"), "--embedding-only: is for --weights"),
        (("--onnx", "m.onnx", "--rows", "x.csv"), "--rows: is for --weights"),
        (("--weights", "int8", "-o", "new", "--format", "csv"), "--format: is for --rows"),
        (("--weights", "int8", "-o", "new", "--rows", "nowhere.csv"), "nowhere.csv"),
        (
            ("--weights", "int8", "-o", "new", "--allow-loss", "-1"),
            "'--allow-loss': Input should be greater than or equal to 0",
        ),
    ],
)
def test_refusals(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = invoke(finished.run, *options)
    assert (code, out) == (2, "")
    assert told in err
    assert not list(tmp_path.iterdir())
    assert (finished.bundle / MANIFEST).is_file()
