"""``dagfm predict`` and ``dagfm evaluate``: the run's own figures, the caller's rows in their order, and refusals."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Finished, click_log, small_config
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app


def invoke(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def rows(finished: Finished) -> pl.DataFrame:
    return pl.read_parquet(finished.test_file)


@pytest.fixture(scope="module")
def expected(finished: Finished, rows: pl.DataFrame) -> np.ndarray:
    return dagfm.load(finished.bundle).predict(rows)


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows as a text format can hold them."""
    return frame.with_columns(pl.col("position").list.eval(pl.element().cast(pl.String)).list.join(" "))


@pytest.fixture(scope="module")
def flat_run(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of a run whose fields can all be read from text."""
    folder = tmp_path_factory.mktemp("flat")
    flat(click_log(600)).write_csv(folder / "clicks.csv")
    config = small_config(Path("clicks.csv"))
    config["fields"][-1]["separator"] = " "
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    dagfm.fit(folder / "dagfm.yaml", folder / "run")
    return folder / "run"


# Agreement ---------------------------------------------------------------------------------------------------------


def test_evaluate_on_the_test_file_gives_the_runs_figures(finished: Finished, rows: pl.DataFrame) -> None:
    code, out, err = invoke("evaluate", finished.bundle, finished.test_file, "--json")
    assert (code, err) == (0, "")
    figures, test = json.loads(out), finished.served["metrics"]["test"]
    assert figures["rows"] == rows.height
    assert figures["click_rate"] == pytest.approx(rows["click"].mean())
    assert figures["auc"] == pytest.approx(test["auc"], abs=1e-6)
    assert figures["logloss"] == pytest.approx(test["logloss"], abs=1e-6)
    code, out, _ = invoke("evaluate", finished.run, finished.test_file)
    assert code == 0
    assert f"{test['auc']:.5f}" in out


def test_predict_on_a_file_is_predict_on_its_rows_and_on_dicts_one_at_a_time(
    finished: Finished, rows: pl.DataFrame, expected: np.ndarray
) -> None:
    code, out, err = invoke("predict", finished.bundle, finished.test_file)
    assert (code, err) == (0, "")
    scored = pl.read_csv(io.StringIO(out))
    assert scored.columns == ["probability"]
    scorer = dagfm.load(finished.bundle)
    alone = np.concatenate([scorer.predict([row]) for row in rows.to_dicts()])
    assert np.abs(scored["probability"].to_numpy() - expected).max() <= 1e-6
    assert np.abs(scored["probability"].to_numpy() - alone).max() <= 1e-6
    logloss = -np.mean(np.log(np.where(rows["click"].to_numpy() == 1, expected, 1 - expected.astype(np.float64))))
    assert logloss == pytest.approx(finished.served["metrics"]["test"]["logloss"], abs=1e-6)


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_output_keeps_the_order_and_the_columns_asked_for(
    finished: Finished, rows: pl.DataFrame, expected: np.ndarray, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"scores.{suffix}"
    keep = ("--keep", "item", "--keep", "user", "--keep", "click")
    assert invoke("predict", finished.run, finished.test_file, "-o", out, *keep) == (0, "", f"{out}: 500 rows\n")
    read = {"csv": pl.read_csv, "tsv": lambda path: pl.read_csv(path, separator="\t"), "parquet": pl.read_parquet}
    scored = read[suffix](out)
    assert scored.columns == ["item", "user", "click", "probability"]
    for name in ("item", "user", "click"):
        assert scored[name].to_list() == rows[name].to_list()
    assert np.abs(scored["probability"].to_numpy() - expected).max() <= 1e-6
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize("suffix", ["csv", "tsv", "inter", "parquet"])
def test_every_readable_format_scores_alike(flat_run: Path, tmp_path: Path, suffix: str) -> None:
    rows = flat(click_log(50, seed=7))
    path = tmp_path / f"rows.{suffix}"
    if suffix == "parquet":
        rows.write_parquet(path)
    elif suffix == "inter":
        kinds = {"tags": "token", "price": "float", "position": "token"}
        typed = rows.rename({name: f"{name}:{kinds.get(name, 'token')}" for name in rows.columns})
        typed.write_csv(path, separator="\t", quote_style="never")
    else:
        rows.write_csv(path, separator="\t" if suffix == "tsv" else ",")
    code, out, err = invoke("predict", flat_run, path)
    assert (code, err) == (0, "")
    scores = pl.read_csv(io.StringIO(out))["probability"].to_numpy()
    assert np.abs(scores - dagfm.load(flat_run).predict(rows)).max() <= 1e-6
    renamed = path.rename(tmp_path / "rows.dat")
    assert invoke("predict", flat_run, renamed)[0] == 2
    name = "recbole" if suffix == "inter" else suffix
    assert invoke("predict", flat_run, renamed, "--format", name)[1] == out


# Rows as they come -------------------------------------------------------------------------------------------------


def test_without_the_label_and_with_columns_nobody_knows(
    finished: Finished, rows: pl.DataFrame, expected: np.ndarray, tmp_path: Path
) -> None:
    odd = rows.drop("click").with_columns(pl.lit("x").alias("surplus"), pl.lit(None).alias("nothing"))
    odd.select(reversed(odd.columns)).write_parquet(tmp_path / "rows.parquet")
    code, out, _ = invoke("predict", finished.bundle, tmp_path / "rows.parquet")
    assert code == 0
    assert np.abs(pl.read_csv(io.StringIO(out))["probability"].to_numpy() - expected).max() <= 1e-6


def test_unseen_ids_and_nulls_have_a_score(finished: Finished, tmp_path: Path) -> None:
    row: dict[str, Any] = {"user": "u1", "group": "x", "item": 3, "tags": "a|b", "price": 1.0, "position": [0.1, 0.2]}
    rows = [row, row | {"user": "nobody", "item": 10**12, "tags": "never|seen"}, dict.fromkeys(row)]
    pl.DataFrame(rows, schema_overrides={"price": pl.Float64}).write_parquet(tmp_path / "rows.parquet")
    code, out, _ = invoke("predict", finished.bundle, tmp_path / "rows.parquet")
    scores = pl.read_csv(io.StringIO(out))["probability"].to_list()
    assert (code, len(scores)) == (0, 3)
    assert all(0 < score < 1 for score in scores)


# Side tables -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run whose items' tags are in a side table."""
    folder = tmp_path_factory.mktemp("sided")
    log = click_log(600)
    log.select("item", "tags").unique("item").sort("item").write_csv(folder / "items.csv")
    log.drop("tags").write_parquet(folder / "clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["data"]["tables"] = {"item": "items.csv"}
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    dagfm.fit(folder / "dagfm.yaml", folder / "run")
    return folder


def test_side_tables_are_joined_again(sided: Path) -> None:
    log = sided / "clicks.parquet"
    code, out, _ = invoke("predict", sided / "run", log, "--table", f"item={sided / 'items.csv'}")
    assert code == 0
    rows = pl.read_parquet(log).join(pl.read_csv(sided / "items.csv"), on="item", how="left", maintain_order="left")
    expected = dagfm.load(sided / "run").predict(rows)
    assert np.abs(pl.read_csv(io.StringIO(out))["probability"].to_numpy() - expected).max() <= 1e-6
    assert invoke("evaluate", sided / "run", log, "--table", f"item={sided / 'items.csv'}")[0] == 0


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_forgotten_side_tables_are_hinted_at(sided: Path, verb: str) -> None:
    code, out, err = invoke(verb, sided / "run", sided / "clicks.parquet")
    assert (code, out) == (2, "")
    assert "column 'tags' is in none of the files" in err
    assert "The bundle was trained with side tables: name them with --table item=FILE" in err


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("items.csv", "--table items.csv: expected KEY=FILE, such as user_id=users.csv"),
        ("item=nowhere.csv", "nowhere.csv: no such file"),
        ("user=items.csv", "items.csv: key column 'user' of table"),
    ],
)
def test_a_table_that_cannot_be_joined(sided: Path, table: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(sided)
    code, out, err = invoke("predict", "run", "clicks.parquet", "--table", table)
    assert (code, out) == (2, "")
    assert told in err


# Refusals ----------------------------------------------------------------------------------------------------------


def test_a_missing_field_is_named(finished: Finished, rows: pl.DataFrame, tmp_path: Path) -> None:
    rows.drop("price").rename({"user": "usr"}).write_parquet(tmp_path / "rows.parquet")
    out = tmp_path / "scores.csv"
    code, _, err = invoke("predict", finished.bundle, tmp_path / "rows.parquet", "-o", out)
    assert code == 2
    assert "column 'user' is in none of the files" in err
    assert "Did you mean 'usr'?" in err
    assert not out.exists()


def test_text_in_a_float_field_names_file_and_row(flat_run: Path, tmp_path: Path) -> None:
    rows = flat(click_log(20)).with_columns(pl.col("price").cast(pl.String))
    rows[6, "price"] = "dear"
    rows.write_csv(tmp_path / "rows.csv")
    out = tmp_path / "scores.parquet"
    for arguments in (
        ("predict", flat_run, tmp_path / "rows.csv", "-o", out),
        ("evaluate", flat_run, tmp_path / "rows.csv"),
    ):
        code, told, err = invoke(*arguments)
        assert (code, told) == (2, "")
        assert f"{tmp_path / 'rows.csv'}: row 7: column 'price' holds 'dear'" in err
    assert not out.exists()


def test_a_refused_cell_of_many_files_is_told_with_its_own(flat_run: Path, tmp_path: Path) -> None:
    rows = flat(click_log(20)).with_columns(pl.col("price").cast(pl.String))
    rows.write_csv(tmp_path / "day1.csv")
    rows[6, "price"] = "dear"
    rows.write_csv(tmp_path / "day2.csv")
    for command in ("predict", "evaluate"):
        code, told, err = invoke(command, flat_run, tmp_path / "day*.csv")
        assert (code, told) == (2, "")
        assert f"{tmp_path / 'day2.csv'}: row 7: column 'price' holds 'dear'" in err


def test_rows_that_the_label_drops_count_in_a_refused_rows_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = flat(click_log(400)).with_columns(
        click=pl.when(pl.int_range(pl.len()) % 4 == 0).then(-1).otherwise("click")
    )
    frame.write_csv(tmp_path / "clicks.csv")
    config = small_config(tmp_path / "clicks.csv")
    config["data"]["label"] = {"column": "click", "drop": [-1]}
    config["fields"][-1]["separator"] = " "
    monkeypatch.chdir(tmp_path)
    dagfm.fit(config, tmp_path / "run")
    rows = frame.head(20).with_columns(pl.col("price").cast(pl.String))
    rows[6, "price"] = "dear"
    rows.write_csv(tmp_path / "rows.csv")
    assert (
        "rows.csv: row 7: column 'price' holds 'dear'" in invoke("evaluate", tmp_path / "run", tmp_path / "rows.csv")[2]
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("-o", "scores.xlsx"), "scores.xlsx: cannot write '.xlsx'; valid suffixes: .csv, .parquet, .tsv"),
        (("--keep", "probability"), "--keep probability"),
        (("--keep", "position"), "--keep position: holds List(Float64), which CSV cannot; write .parquet with -o"),
        (("--keep", "usr"), "column 'usr' is in none of the files"),
        (("--format", "excel"), "--format: 'excel' is not valid; valid: parquet, csv, tsv, recbole"),
        (("-o", "nowhere.d/../scores.csv", "--keep", "x"), "column 'x'"),
    ],
)
def test_wrong_options(finished: Finished, folder: Path, arguments: tuple[str, ...], told: str) -> None:
    code, out, err = invoke("predict", finished.bundle, finished.test_file, *arguments)
    assert (code, out) == (2, "")
    assert told in err
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("name", "text"), [("absent.csv", None), ("empty.csv", "")])
@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_file_of_nothing(finished: Finished, folder: Path, name: str, text: str | None, verb: str) -> None:
    if text is not None:
        Path(name).write_text(text)
    code, out, err = invoke(verb, finished.bundle, name)
    assert (code, out) == (2, "")
    assert f"error: {name}: " in err


def test_a_file_without_rows_has_no_scores_and_no_figures(finished: Finished, rows: pl.DataFrame, folder: Path) -> None:
    rows.clear().write_parquet("none.parquet")
    assert invoke("predict", finished.bundle, "none.parquet")[:2] == (0, "probability\n")
    code, _, err = invoke("evaluate", finished.bundle, "none.parquet")
    assert code == 2
    assert "error: none.parquet: the table has no rows" in err


def test_evaluate_without_the_label_or_with_one_class(finished: Finished, rows: pl.DataFrame, folder: Path) -> None:
    rows.drop("click").write_parquet("rows.parquet")
    code, _, err = invoke("evaluate", finished.bundle, "rows.parquet")
    assert code == 2
    assert "'click'" in err
    assert "rows.parquet" in err
    rows.filter(pl.col("click") == 1).write_parquet("rows.parquet")
    code, _, err = invoke("evaluate", finished.bundle, "rows.parquet")
    assert code == 2
    assert "expected both 0 and 1" in err
    rows.with_columns(pl.when(pl.col("item") == 3).then(None).otherwise(pl.col("click")).alias("click")).write_parquet(
        "rows.parquet"
    )
    code, _, err = invoke("evaluate", finished.bundle, "rows.parquet")
    assert code == 2
    first = rows["item"].to_list().index(3) + 1
    assert f"rows.parquet: row {first}: label 'click' is empty" in err


def test_evaluate_applies_the_rule_that_the_bundle_was_trained_by(folder: Path) -> None:
    random = np.random.default_rng(0)
    log = click_log(600).with_columns(pl.Series("stars", random.integers(1, 6, 600))).drop("click")
    log.write_parquet("ratings.parquet")
    config = small_config(Path("ratings.parquet"))
    config["data"]["label"] = {"column": "stars", "positive_from": 4, "drop": [3]}
    dagfm.fit(config, folder / "run")
    code, out, _ = invoke("evaluate", "run", "ratings.parquet", "--json")
    kept = log.filter(pl.col("stars") != 3)["stars"]
    assert code == 0
    assert json.loads(out)["rows"] == len(kept)
    assert json.loads(out)["click_rate"] == pytest.approx((kept >= 4).mean())


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_a_bundle_that_is_none_is_newer_or_damaged(finished: Finished, folder: Path, verb: str) -> None:
    code, _, err = invoke(verb, "nowhere", finished.test_file)
    assert (code, err) == (2, "error: nowhere: no such bundle: there is nothing at this path\n")
    shutil.copytree(finished.bundle, "bundle")
    weights = Path("bundle/weights.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1])
    code, _, err = invoke(verb, "bundle", finished.test_file)
    assert code == 2
    assert "bundle/weights.safetensors: " in err
    manifest = json.loads(Path("bundle/manifest.json").read_text())
    Path("bundle/manifest.json").write_text(json.dumps(manifest | {"format": 99}))
    code, _, err = invoke(verb, "bundle", finished.test_file)
    assert (code, err) == (2, "error: bundle: bundle format 99, but this dagfm reads up to 1; upgrade dagfm\n")


def test_an_output_that_fails_midway_leaves_what_was_there(
    finished: Finished, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno
    import os

    from dagfm import files

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("scores.csv").write_text("yesterday's")
    monkeypatch.setattr(files, "_sync", full)
    code, _, err = invoke("predict", finished.bundle, finished.test_file, "-o", "scores.csv")
    assert code == 1
    assert "disk full while writing scores.csv" in err
    assert Path("scores.csv").read_text() == "yesterday's"
    assert [path.name for path in folder.iterdir()] == ["scores.csv"]
