"""One phase alone: what ``warm_up`` finds, how tables are mapped by token, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Finished, Silent, click_log, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.encoder_file import read_encoder
from dagfm.files import MANIFEST
from dagfm.training.checkpoint import read_tensors
from dagfm.training.warm_up import WarmUp

WEIGHTS = "weights.safetensors"


def _alone(finished: Finished, run: Path, phase: str, warm_up: Path | None, *overrides: str) -> dagfm.Run:
    """One phase alone, with the finished run's configuration."""
    start = [] if warm_up is None else [f"warm_up={warm_up}"]
    return dagfm.fit(
        finished.folder / "dagfm.yaml", run, overrides=[f"phase={phase}", *start, *overrides], progress=Silent()
    )


def _phases(run: dagfm.Run) -> list[tuple[str, str]]:
    return [(line["name"], line["phase"]) for line in run.results["models"]]


def test_three_phases_alone_are_the_run_at_once(finished: Finished, tmp_path: Path) -> None:
    teacher = _alone(finished, tmp_path / "one", "teacher_training", None)
    assert _phases(teacher) == [("teacher", "teacher_training")]
    assert teacher.results["served"] is None
    assert not (teacher.directory / "bundle").exists()
    distilled = _alone(finished, tmp_path / "two", "distillation", teacher.directory)
    assert _phases(distilled) == [("teacher", "teacher_training"), ("student", "distillation")]
    assert distilled.results["served"]["phase"] == "distillation"
    finetuned = _alone(finished, tmp_path / "three", "finetuning", distilled.directory)
    assert _phases(finetuned) == [
        ("teacher", "teacher_training"),
        ("student", "distillation"),
        ("student", "finetuning"),
    ]
    for run, phase in (
        (teacher, "teacher_training/teacher"),
        (distilled, "distillation/student"),
        (finetuned, "finetuning/student"),
    ):
        assert (run.directory / phase / WEIGHTS).read_bytes() == (finished.run / phase / WEIGHTS).read_bytes()
    assert (finetuned.bundle / WEIGHTS).read_bytes() == (finished.bundle / WEIGHTS).read_bytes()
    for line in finetuned.results["models"]:
        assert line["metrics"] == finished.entry(line["name"], line["phase"])["metrics"]
    again = _alone(finished, tmp_path / "three", "finetuning", distilled.directory)
    assert again.results == finetuned.results


@pytest.mark.parametrize(
    ("phase", "start"),
    [
        ("distillation", "teacher_training/teacher"),
        ("finetuning", "distillation/student"),
        ("finetuning", "finetuning/student"),
    ],
)
def test_warm_up_may_name_a_phase(finished: Finished, tmp_path: Path, phase: str, start: str) -> None:
    run = _alone(finished, tmp_path / "run", phase, finished.run / start)
    if start == "finetuning/student":  # finetuned on from there
        taken = finished.run / start / WEIGHTS
        assert (run.directory / "distillation" / "student" / WEIGHTS).read_bytes() == taken.read_bytes()
        return
    weights = Path(phase) / "student" / WEIGHTS
    assert (run.directory / weights).read_bytes() == (finished.run / weights).read_bytes()


def test_finetuning_alone_without_distillation_loss_needs_no_teacher(finished: Finished, tmp_path: Path) -> None:
    start = finished.run / "distillation" / "student"
    run = _alone(finished, tmp_path / "run", "finetuning", start, "finetuning.kd_weight=0")
    assert _phases(run) == [("student", "distillation"), ("student", "finetuning")]


def test_a_teacher_trains_on_from_a_teacher(finished: Finished, tmp_path: Path) -> None:
    run = _alone(finished, tmp_path / "run", "teacher_training", finished.run)
    mine, theirs = (path / "teacher_training" / "teacher" / WEIGHTS for path in (run.directory, finished.run))
    assert mine.read_bytes() != theirs.read_bytes()
    assert run.results["models"][0]["metrics"]["test"]["logloss"] < 0.6931 + 0.1


def test_an_ensemble_is_taken_over_member_by_member(folder: Path, log_path: Path) -> None:
    teachers = [{"network": "crossnet", "depth": 1}, {"network": "cin", "cin": [4]}]
    config = small_config(log_path, teacher=teachers)
    whole = dagfm.fit(config, folder / "whole", progress=Silent())
    alone = dagfm.fit(
        config, folder / "alone", overrides=["phase=distillation", f"warm_up={whole.directory}"], progress=Silent()
    )
    weights = Path("distillation") / "student" / WEIGHTS
    assert (alone.directory / weights).read_bytes() == (whole.directory / weights).read_bytes()
    assert [name for name, _ in _phases(alone)] == ["crossnet-1", "cin-2", "ensemble", "student"]


def _table(run: Path, phase: str) -> tuple[Encoder, np.ndarray]:
    return read_encoder(run / "encoder"), load_file(run / phase / WEIGHTS)["embedding.weight"]


def _rows(encoder: Encoder, table: np.ndarray, field: str) -> dict[str, np.ndarray]:
    """A field's vectors by token."""
    start = int(encoder.spans.starts[encoder.schema.names.index(field)])
    tokens = ["<unknown>", "<missing>", *encoder.vocabularies[field].tokens]
    return {token: table[start + row] for row, token in enumerate(tokens)}


def test_a_token_known_to_both_keeps_its_vector(finished: Finished, tmp_path: Path) -> None:
    other = click_log(1500, seed=3).with_columns(pl.col("item") + 10)  # items 10 to 39 instead of 0 to 29
    other.write_parquet(tmp_path / "other.parquet")
    (tmp_path / "dagfm.yaml").write_text(yaml.safe_dump(small_config(Path("other.parquet"))))
    run = dagfm.fit(
        tmp_path / "dagfm.yaml",
        tmp_path / "run",
        overrides=["phase=distillation", f"warm_up={finished.run}"],
        progress=Silent(),
    )
    theirs = _rows(*_table(finished.run, "teacher_training/teacher"), "item")
    mine = _rows(*_table(run.directory, "teacher_training/teacher"), "item")
    both = {str(item) for item in range(10, 30)}
    assert both < theirs.keys()
    assert both < mine.keys()
    for token in both:
        assert np.array_equal(mine[token], theirs[token])
    new = {str(item) for item in range(30, 40)}
    assert new < mine.keys()
    for token in new:
        assert np.isfinite(mine[token]).all()
        assert not any(np.array_equal(mine[token], vector) for vector in theirs.values())
    assert set(run.scorer().predict(other[:3])) < {*np.linspace(0, 1, 2), *run.scorer().predict(other)}


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["teacher.depth=3"], "depth is 2, this run's is 3"),
        (["teacher={network: cin, cin: [4]}"], "network is crossnet, this run's is cin"),
        (["embedding.size=5"], "embedding size is 4, this run's is 5"),
        (["fields=[{name: user}, {name: item}]"], "its fields are .*'price'.*, this run's are"),
        (["fields=[{name: item}, {name: user}, {name: group}]"], "they must be the same"),
    ],
)
def test_other_shapes_and_fields_are_refused(
    finished: Finished, tmp_path: Path, overrides: list[str], told: str
) -> None:
    with pytest.raises(dagfm.InputError, match=told) as error:
        _alone(finished, tmp_path / "run", "distillation", finished.run, *overrides)
    assert "warm_up: " in str(error.value)
    assert str(finished.run / "teacher_training" / "teacher") in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("overrides", [["student.depth=3"], ["student.type=outer"], ["student.connect=none"]])
def test_another_students_weights_are_refused(finished: Finished, tmp_path: Path, overrides: list[str]) -> None:
    with pytest.raises(dagfm.InputError, match=r"warm_up: .*distillation.student: \w+ is"):
        _alone(finished, tmp_path / "run", "finetuning", finished.run, *overrides)


def test_what_holds_no_such_phase_is_refused_with_what_it_holds(finished: Finished, tmp_path: Path) -> None:
    teacher = _alone(finished, tmp_path / "teacher", "teacher_training", None).directory
    with pytest.raises(dagfm.InputError) as error:
        _alone(finished, tmp_path / "run", "finetuning", teacher, "finetuning.kd_weight=0")
    assert f"warm_up: {teacher} holds no finished distillation or finetuning" in str(error.value)
    assert "teacher_training/teacher" in str(error.value)
    with pytest.raises(dagfm.InputError, match=r"warm_up: .*nowhere: no such run or phase directory"):
        _alone(finished, tmp_path / "run", "distillation", tmp_path / "nowhere")
    with pytest.raises(dagfm.InputError, match="finished there: nothing"):
        _alone(finished, tmp_path / "run", "distillation", finished.run / "encoder")


def test_of_several_seeds_one_has_to_be_named(finished: Finished, tmp_path: Path) -> None:
    config = finished.folder / "dagfm.yaml"
    several = dagfm.fit(config, tmp_path / "several", overrides=["phase=teacher_training"], seeds=2, progress=Silent())
    with pytest.raises(dagfm.InputError, match=r"holds several; name one of: .*seed-2022, .*seed-2023"):
        _alone(finished, tmp_path / "run", "distillation", several.directory)
    named = several.directory / "teacher_training" / "teacher" / "seed-2023"
    run = _alone(finished, tmp_path / "run", "distillation", named)
    assert (run.directory / "teacher_training" / "teacher" / WEIGHTS).read_bytes() == (named / WEIGHTS).read_bytes()


def test_an_automatic_connect_layer_is_the_one_it_stands_for(finished: Finished, tmp_path: Path) -> None:
    run = _alone(finished, tmp_path / "run", "finetuning", finished.run, "student.connect=causal")
    assert run.results["served"] is not None


def test_a_baseline_is_no_student_to_finetune(finished: Finished, tmp_path: Path) -> None:
    (baseline,) = (finished.run / "baselines" / "scratch").iterdir()
    with pytest.raises(dagfm.InputError, match="is a finished scratch, expected distillation or finetuning"):
        _alone(finished, tmp_path / "run", "finetuning", baseline, "finetuning.kd_weight=0")


def test_a_bundle_is_no_phase(finished: Finished, tmp_path: Path) -> None:
    with pytest.raises(dagfm.InputError, match="expected a finished phase, found bundle"):
        _alone(finished, tmp_path / "run", "finetuning", finished.bundle)


@pytest.mark.parametrize("phase", ["distillation", "finetuning"])
def test_these_phases_refuse_to_start_from_nothing(finished: Finished, tmp_path: Path, phase: str) -> None:
    with pytest.raises(dagfm.InputError, match=f"phase '{phase}' starts from earlier weights: set 'warm_up'"):
        _alone(finished, tmp_path / "run", phase, None)
    assert not (tmp_path / "run").exists()


def test_a_run_whose_encoder_is_of_other_data_is_refused(finished: Finished, tmp_path: Path) -> None:
    """A run that began anew on other rows still holds finished phases of the old ones."""
    run = _alone(finished, tmp_path / "source", "teacher_training", None).directory
    made_from = json.loads((run / "prepared.json").read_text())
    (run / "prepared.json").write_text(json.dumps(made_from | {"content": "0" * 16}))
    with pytest.raises(dagfm.InputError, match=r"warm_up: .*teacher_training.teacher was trained on other data"):
        _alone(finished, tmp_path / "run", "distillation", run)


def test_a_frozen_embedding_is_refused_before_training_where_no_teacher_has_as_many_numbers(
    folder: Path, log_path: Path
) -> None:
    config: dict[str, Any] = small_config(log_path, teacher={"network": "crossnet", "size": 3})
    with pytest.raises(dagfm.InputError, match="a student has 4 numbers a field and the teachers have 3"):
        dagfm.fit(config, folder / "run", overrides=["distillation.embedding=teacher_frozen"], progress=Silent())


@pytest.mark.parametrize("network", ["fm", "ffm"])
def test_a_frozen_embedding_needs_a_teachers_of_its_size(folder: Path, log_path: Path, network: str) -> None:
    config: dict[str, Any] = small_config(log_path, teacher={"network": network})
    refusal = rf"distillation\.embedding: 'teacher_frozen', but an {network}'s embedding"
    with pytest.raises(dagfm.InputError, match=refusal):
        dagfm.fit(config, folder / "run", overrides=["distillation.embedding=teacher_frozen"], progress=Silent())
    assert not (folder / "run").exists()
    assert dagfm.fit(config, folder / "run", progress=Silent()).results["served"]


def test_a_phases_weights_carry_their_checksums(finished: Finished) -> None:
    found = WarmUp.find(finished.run, ("distillation",), "student")
    assert found.directory == finished.run / "distillation" / "student"
    assert found.facts["files"].keys() == {WEIGHTS, "metrics.jsonl", "valid-logits.npy", "test-logits.npy"}
    assert (found.directory / MANIFEST).is_file()
    assert read_tensors(found.directory / WEIGHTS).keys() >= {"embedding.weight", "network.p"}
