"""Scores of another model as the teacher: a column, a file joined by key, a Python function; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Silent, Told, click_log, small_config
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.data.scores import LEAST
from dagfm.data.split import PARTS, random_parts
from dagfm.errors import InputError

OWN = {"embedding": "own", "recombined": 0, "calibrate": False}
LOGIT = {"scores": "lgb", "kind": "logit"}
SOUND = {"scores": "lgb", "kind": "probability"}
ROWS = 600


def scored_log(rows: int = ROWS, seed: int = 3) -> pl.DataFrame:
    """The click log with a column of probabilities that know a little, and the row's number."""
    frame = click_log(rows)
    noise = np.random.default_rng(seed).normal(size=rows)
    logit = 1.5 * (frame["click"].to_numpy() - 0.5) + noise
    return frame.with_columns(lgb=pl.Series(1 / (1 + np.exp(-logit))), row=pl.int_range(rows))


def brief(train: Path, teacher: Any, **sections: Any) -> dict[str, Any]:
    config = small_config(train, teacher=teacher, **sections)
    for phase in ("teacher_training", "distillation", "finetuning"):
        config["training"][phase]["epochs"] = 1
    return config


def parts_of(rows: int) -> np.ndarray:
    """The part of every row by the default split."""
    parts = np.zeros(rows, np.uint8)
    random_parts(parts, np.zeros(rows, np.int32), (0.8, 0.1, 0.1), 2022)
    return parts


def logits_of(run: Path, rows: int) -> np.ndarray:
    """A run's cached logits (rows,) in the order of the log."""
    parts, found = parts_of(rows), np.empty(rows, np.float32)
    for part, name in enumerate(PARTS):
        found[parts == part] = np.load(run / "teacher_logits" / f"{name}.npy")
    return found


@pytest.fixture
def log(folder: Path) -> Path:
    scored_log().write_parquet(folder / "clicks.parquet")
    return folder / "clicks.parquet"


def test_a_networks_logits_as_a_column_teach_what_the_network_teaches_to_the_byte(folder: Path) -> None:
    frame = click_log(ROWS)
    frame.write_parquet("clicks.parquet")
    network = {"network": "crossnet", "depth": 2}
    first = dagfm.fit(brief(Path("clicks.parquet"), network, distillation=OWN), "network", progress=Silent())
    written = frame.with_columns(lgb=pl.Series(logits_of(first.directory, ROWS)))
    assert written["lgb"].dtype == pl.Float32
    written.write_parquet("scored.parquet")
    second = dagfm.fit(brief(Path("scored.parquet"), LOGIT, distillation=OWN), "scores", progress=Silent())
    assert not (second.directory / "teacher_training").exists()
    for phase in ("distillation", "finetuning"):
        name = f"{phase}/student/weights.safetensors"
        assert (second.directory / name).read_bytes() == (first.directory / name).read_bytes()
    for part in PARTS:
        name = f"teacher_logits/{part}.npy"
        assert (second.directory / name).read_bytes() == (first.directory / name).read_bytes()
    assert second.results["models"][0]["metrics"] == first.results["models"][0]["metrics"]


def test_results_tell_the_scores_figures_and_no_costs(log: Path) -> None:
    told = Told()
    run = dagfm.fit(brief(log, {**SOUND, "name": "forest"}), "run", baselines=["fm"], progress=told)
    teacher = run.results["models"][0]
    assert [teacher[key] for key in ("name", "role", "network", "parameters", "scoring_rows_per_second")] == [
        "forest", "teacher", "scores", None, None,
    ]  # fmt: skip
    assert 0.5 < teacher["metrics"]["test"]["auc"] < 1
    assert all(line["metrics"]["test"]["logit_mse"] > 0 for line in run.results["models"][1:])
    assert {line["minus"] for line in run.results["comparisons"]} == {"forest", "fm"}
    (line,) = (line for line in told.lines if "scores 'lgb'" in line)
    assert "starts at random" in line
    assert "no recombined rows" in line
    assert not list((run.directory / "teacher_logits").glob("pool*"))


def test_a_second_fit_trains_nothing_and_other_scores_redo_the_student(
    log: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "dagfm")
    dagfm.fit(brief(log, SOUND), "run", progress=Silent())
    before = Path("run/distillation/student/weights.safetensors").read_bytes()
    dagfm.fit("run/config.yaml", "run", progress=Silent())
    assert "redone" not in caplog.text
    scored_log(seed=4).write_parquet(log)
    dagfm.fit(brief(log, SOUND), "run", progress=Silent())
    assert "teacher_logits is redone: scores changed" in caplog.text
    assert Path("run/distillation/student/weights.safetensors").read_bytes() != before


def test_probabilities_become_logits_clipped_at_the_documented_limit(folder: Path) -> None:
    frame = scored_log().with_columns(pl.when(pl.col("row") < 2).then(pl.col("row")).otherwise("lgb").alias("lgb"))
    frame.write_parquet("clicks.parquet")
    config = brief(Path("clicks.parquet"), SOUND, distillation={"calibrate": False})
    run = dagfm.fit(config, "run", progress=Silent())
    p = frame["lgb"].to_numpy().clip(LEAST, 1 - LEAST)
    assert np.allclose(logits_of(run.directory, ROWS), np.log(p / (1 - p)), rtol=1e-6)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_joined_by_key_is_as_good_as_the_column(log: Path, suffix: str) -> None:
    frame = (
        pl.read_parquet(log).select("row", "item", pl.col("lgb").alias("p")).sample(fraction=1.0, shuffle=True, seed=1)
    )
    frame.write_csv("scores.csv") if suffix == "csv" else frame.write_parquet("scores.parquet")
    dagfm.fit(brief(log, SOUND), "column", progress=Silent())
    pl.read_parquet(log).drop("lgb").write_parquet("bare.parquet")
    joined = {"scores": f"scores.{suffix}", "key": ["row", "item"], "column": "p", "kind": "probability"}
    dagfm.fit(brief(Path("bare.parquet"), joined), "file", progress=Silent())
    weights = [Path(run, "finetuning/student/weights.safetensors").read_bytes() for run in ("column", "file")]
    assert weights[0] == weights[1]


def test_a_function_sees_all_columns_once_and_is_kept_under_its_name(log: Path) -> None:
    frame = pl.read_parquet(log)
    scores, seen = frame["lgb"].to_list(), []

    def forest(rows: pl.DataFrame) -> list[float]:
        seen.append(rows)
        return [scores[row] for row in rows["row"]]

    frame.drop("lgb").write_parquet("bare.parquet")
    config = brief(Path("bare.parquet"), SOUND)
    dagfm.fit(config, "function", teacher=forest, progress=Silent())
    assert pl.concat(seen).equals(frame.drop("lgb"))
    dagfm.fit(config, "function", progress=Silent())  # the scores are there: no function is needed
    assert len(seen) == 1
    dagfm.fit(brief(log, SOUND), "column", progress=Silent())
    weights = [Path(run, "finetuning/student/weights.safetensors").read_bytes() for run in ("column", "function")]
    assert weights[0] == weights[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda rows: rows, "'model' gave DataFrame|shape"),
        (lambda rows: [0.5], r"'model' gave an array of shape \(1,\) for 600 rows, expected \(600,\)"),
        (lambda rows: ["high"] * len(rows), "expected numbers"),
        (lambda rows: [0.5] * (len(rows) - 1) + [np.nan], "row 600: score 'model' is empty"),
    ],
)
def test_what_a_function_may_not_give(log: Path, given: Callable[[pl.DataFrame], Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dagfm.fit(brief(log, {"scores": "model", "kind": "logit"}), "run", teacher=given, progress=Silent())


def test_a_function_needs_a_name_of_its_own(log: Path) -> None:
    for teacher, message in (
        ({"network": "fm"}, "a function needs a name"),
        (SOUND, "'lgb' stands for the function, but .* has a column of that name"),
    ):
        with pytest.raises(InputError, match=message):
            dagfm.fit(brief(log, teacher), "run", teacher=len, progress=Silent())


@pytest.mark.parametrize(
    ("teacher", "cell", "message"),
    [
        ({"scores": "lbg", "kind": "logit"}, 0.5, r"teacher\.scores: column 'lbg' is in none .* Did you mean 'lgb'\?"),
        (LOGIT, None, r"clicks\.parquet: row 8: score 'lgb' is empty, expected a logit"),
        (SOUND, np.nan, r"row 8: score 'lgb' is empty, expected a probability"),
        (LOGIT, np.inf, r"row 8: column 'lgb' holds inf, expected a finite number"),
        (LOGIT, 1e300, r"row 8: score 'lgb' is 1e\+300, too large"),
        (SOUND, 1.5, r"row 8: score 'lgb' is 1\.5, expected a probability from 0 to 1"),
        (SOUND, -0.1, r"row 8: score 'lgb' is -0\.1, expected a probability"),
    ],
)
def test_scores_that_are_refused(folder: Path, teacher: dict[str, Any], cell: float | None, message: str) -> None:
    frame = scored_log().with_columns(pl.when(pl.col("row") == 7).then(cell).otherwise("lgb").alias("lgb"))
    frame.write_parquet("clicks.parquet")
    with pytest.raises(InputError, match=message):
        dagfm.fit(brief(Path("clicks.parquet"), teacher), "run", progress=Silent())


@pytest.mark.parametrize(
    ("change", "more", "message"),
    [
        (lambda file: file[5:], {}, r"scores\.parquet: 5 rows .* \('row'\) that is not in it, the first is .*row 1;"),
        (lambda file: pl.concat([file, file[3:4]]), {}, r"scores\.parquet: key 'row' '3' occurs twice, expected once"),
        (lambda file: file, {"key": "rov"}, r"teacher\.key: column 'rov' is in none .* Did you mean 'row'\?"),
        (lambda file: file, {"column": "scroe"}, r"teacher\.column: column 'scroe' .* Did you mean 'score'\?"),
        (lambda file: file.with_columns(score=None), {}, "row 1: score 'score' is empty"),
    ],
)
def test_files_of_scores_that_are_refused(
    log: Path, change: Callable[[pl.DataFrame], pl.DataFrame], more: dict[str, Any], message: str
) -> None:
    file = pl.read_parquet(log).select("row", score="lgb")
    change(file).write_parquet("scores.parquet")
    teacher = {"scores": "scores.parquet", "key": "row", "kind": "probability", **more}
    with pytest.raises(InputError, match=message):
        dagfm.fit(brief(log, teacher), "run", progress=Silent())


@pytest.mark.parametrize(
    ("teacher", "sections", "message"),
    [
        ({"scores": "lgb"}, {}, r"missing key 'teacher\.0\.kind'"),
        ({"scores": "lgb", "kind": "logits"}, {}, r"'logits' is not valid; valid: logit, probability"),
        ({**LOGIT, "column": "p"}, {}, "'column' is of a file of scores, and that needs 'key'"),
        ({"scores": "click", "kind": "probability"}, {}, "'click' is the label"),
        ([LOGIT, {"network": "fm"}], {}, "'scores' is the whole teacher"),
        (LOGIT, {"distillation": {"embedding": "teacher_frozen"}}, "a teacher of scores has no embedding"),
        (LOGIT, {"phase": "teacher_training"}, "is not trained"),
    ],
)
def test_configurations_that_are_refused(log: Path, teacher: Any, sections: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        dagfm.load_config(brief(log, teacher, **sections))


def test_scores_are_of_the_log_before_its_non_clicks_are_sampled(log: Path) -> None:
    config = brief(log, SOUND, distillation={"calibrate": False})
    config["data"]["negatives"] = {"keep": 0.5}
    run = dagfm.fit(config, "run", progress=Silent())
    p = pl.read_parquet(log)["lgb"].to_numpy()[parts_of(ROWS) == 1]
    assert np.allclose(np.load(run.directory / "teacher_logits/valid.npy"), np.log(p / (1 - p)) + np.log(2), atol=1e-5)


def test_distillation_alone_needs_no_earlier_run(log: Path) -> None:
    run = dagfm.fit(brief(log, SOUND, phase="distillation"), "run", progress=Silent())
    assert [line["phase"] for line in run.results["models"]] == ["teacher_training", "distillation"]


def test_from_the_command_line(log: Path) -> None:
    Path("dagfm.yaml").write_text(yaml.safe_dump(brief(Path("clicks.parquet"), {"network": "crossnet"})))
    words = ["fit", "dagfm.yaml", "-o", "run", "--set", "teacher={scores: lgb, kind: probability}"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "teacher (scores)" in done.stdout
    assert json.loads(Path("run/results.json").read_text())["models"][0]["network"] == "scores"
    assert len(dagfm.load("run/bundle").predict(click_log(5))) == 5
    done = CliRunner().invoke(app, [*words[:-1], "teacher={scores: lgbm, kind: probability}"])
    assert done.exit_code == 2
    assert "Did you mean 'lgb'?" in done.stderr
