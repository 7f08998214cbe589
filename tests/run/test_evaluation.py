"""Figures within groups and by values, as a run has them, against loops over its rows."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Silent, click_log, small_config

import dagfm
from dagfm import metrics
from dagfm.cli.tables import print_results
from dagfm.training import loop

BY = ["group", "tags", "price"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log in three files, and a finished run of it that has been asked for nothing."""
    folder = tmp_path_factory.mktemp("evaluation")
    frame = click_log(1500)
    for part, rows in (("train", frame[:700]), ("valid", frame[700:1100]), ("test", frame[1100:])):
        rows.write_parquet(folder / f"{part}.parquet")
    config = small_config(folder / "train.parquet")
    config["data"] |= {part: str(folder / f"{part}.parquet") for part in ("valid", "test")}
    for field in config["fields"]:
        if field["name"] == "price":
            field |= {"encode": "quantile", "bins": 3}
        if field["name"] == "user":
            field["min_count"] = 12
    (folder / "dagfm.yaml").write_text(json.dumps(config))
    dagfm.fit(folder / "dagfm.yaml", folder / "run", baselines=["fm"], progress=Silent())
    return folder


@pytest.fixture(scope="module")
def run(folder: Path) -> dagfm.Run:
    overrides = ["evaluation.group=user", "evaluation.ndcg=2", f"evaluation.by={json.dumps(BY)}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop._Training, "_step", lambda *_: pytest.fail("an evaluation trains nothing"))
        return dagfm.fit(
            folder / "dagfm.yaml", folder / "run", overrides=overrides, baselines=["fm"], progress=Silent()
        )


def rows_of(folder: Path, place: str, part: str) -> pl.DataFrame:
    logits = np.load(folder / "run" / place / f"{part}-logits.npy")
    return pl.read_parquet(folder / f"{part}.parquet").with_columns(logit=logits)


@pytest.mark.parametrize("part", ["valid", "test"])
@pytest.mark.parametrize(
    ("name", "phase", "place"),
    [
        ("teacher", "teacher_training", "teacher_training/teacher"),
        ("student", "distillation", "distillation/student"),
        ("fm", "scratch", "baselines/fm/decay-0.001-dropout-0.1"),
    ],
)
def test_every_model_is_judged_within_groups(
    run: dagfm.Run, folder: Path, part: str, name: str, phase: str, place: str
) -> None:
    counts = pl.read_parquet(folder / "train.parquet")["user"].value_counts()
    frequent = counts.filter(pl.col("count") >= 12)["user"]
    frame = rows_of(folder, place, part)
    known = frame.filter(pl.col("user").is_in(frequent.implode()))
    aucs, sizes, ndcgs, one_class = [], [], [], 0
    for _, group in known.group_by("user"):
        y, z = group["click"].to_numpy(), group["logit"].to_numpy()
        if y.min() == y.max():
            one_class += 1
            continue
        aucs.append(metrics.auc(y, z))
        sizes.append(len(y))
        first = y[np.argsort(-z)][:2]
        best = 1 + (y.sum() > 1) / math.log2(3)
        ndcgs.append((first / np.log2([2, 3])).sum() / best)
    figures = next(line for line in run.results["models"] if (line["name"], line["phase"]) == (name, phase))
    assert figures["metrics"][part]["gauc"] == pytest.approx(np.average(aucs, weights=sizes))
    assert figures["metrics"][part]["ndcg@2"] == pytest.approx(np.mean(ndcgs))
    told = run.results["evaluation"]["group"]
    assert told["field"] == "user"
    assert told[part] == {"groups": len(aucs), "one_class": one_class, "rows_left_out": len(frame) - len(known)}


def test_served_student_and_teacher_are_measured_by_values(run: dagfm.Run, folder: Path) -> None:
    served = run.results["served"]
    frames = {
        "student": rows_of(folder, f"{served['phase']}/student", "test"),
        "teacher": rows_of(folder, "teacher_training/teacher", "test"),
    }
    found = run.results["evaluation"]["by"]
    assert list(found) == BY
    assert {line["value"] for line in found["group"]} == {"x", "y", "missing"}
    assert {line["value"] for line in found["tags"]} == {"a", "b", "c", "missing"}
    assert len(found["price"]) == 4  # three bins, and missing
    edges = sorted(line["value"] for line in found["price"] if line["value"] != "missing")
    assert all(".." in edge for edge in edges)
    holds: dict[str, Any] = {
        "group": lambda value: pl.col("group").is_null() if value == "missing" else pl.col("group") == value,
        "tags": lambda value: pl.col("tags") == "" if value == "missing" else pl.col("tags").str.contains(value),
    }
    for name, condition in holds.items():
        assert [line["rows"] for line in found[name]] == sorted((line["rows"] for line in found[name]), reverse=True)
        for line in found[name]:
            for model, frame in frames.items():
                rows = frame.filter(condition(line["value"]))
                y, z = rows["click"].to_numpy(), rows["logit"].to_numpy()
                assert line["rows"] == len(y)
                assert line["click_rate"] == pytest.approx(y.mean())
                assert line[model]["auc"] == pytest.approx(metrics.auc(y, z))
                assert line[model]["logloss"] == pytest.approx(metrics.logloss(y, z))
                assert line[model]["calibration"] == pytest.approx(metrics.sigmoid(z).mean() / y.mean())


def test_the_tables_and_the_summary_show_it(run: dagfm.Run, capsys: pytest.CaptureFixture[str]) -> None:
    print_results(run.directory, run.results)
    out = capsys.readouterr().out
    assert "GAUC" in out
    assert "NDCG@2" in out
    summary = run.results["summary"][0]["metrics"]["test"]
    assert summary["gauc"]["mean"] == run.results["models"][0]["metrics"]["test"]["gauc"]


def test_who_asks_for_nothing_gets_nothing(folder: Path, tmp_path: Path) -> None:
    results = json.loads((folder / "run" / "results.json").read_text())
    plain = dagfm.fit(folder / "dagfm.yaml", tmp_path / "run", overrides=["phase=teacher_training"], progress=Silent())
    assert plain.results["evaluation"] is None
    assert plain.results["models"][0]["metrics"]["test"].keys() == {"auc", "logloss", "logit_mse"}
    assert results["format"] == plain.results["format"] == 1


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("evaluation.group=usr", r"evaluation.group: 'usr' is not a field of one id a row; valid here: user, group, "),
        ("evaluation.group=tags", "evaluation.group: 'tags' is not a field of one id"),
        ("evaluation.group=click", "evaluation.group: 'click' is not a field of one id"),
        ("evaluation.by=position", "evaluation.by: 'position' is not a field whose values have names; valid here: "),
        ("evaluation.ndcg=[0]", "evaluation.ndcg.0: "),
        ("evaluation.gruop=user", "unknown key 'evaluation.gruop'. Did you mean 'group'"),
    ],
)
def test_a_wrong_name_is_refused(folder: Path, override: str, told: str) -> None:
    with pytest.raises(dagfm.InputError, match=told):
        dagfm.load_config(folder / "dagfm.yaml", [override])
