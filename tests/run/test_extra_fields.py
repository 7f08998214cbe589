"""Fields that only teachers see: nobody needs them to train or to score a student, and what they tell reaches it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import FIELDS, Silent, click_log, small_config
from lightgbm import Booster
from safetensors.numpy import load_file
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.config import load_config
from dagfm.data.prepare import prepare
from dagfm.encoding.encoder_file import read_encoder
from dagfm.errors import InputError
from dagfm.training.view import View

EXTRA = ["slot", "dwell", "seen", "after"]
MORE: list[dict[str, Any]] = [
    {"name": "slot", "side": "context"},
    *FIELDS[:3],
    {"name": "dwell", "type": "float", "side": "candidate"},
    {"name": "seen", "type": "token_seq", "separator": "|", "side": "candidate"},
    {"name": "after", "type": "float_seq", "size": 2, "side": "candidate"},
    *FIELDS[3:],
]
"""Extra fields of every form, before, between and behind the others."""
CROSS, PLAIN = {"network": "crossnet", "depth": 2, "extra_fields": EXTRA}, {"network": "crossnet", "depth": 1}


def privileged_log(rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """The small log with columns that are known after the click."""
    random = np.random.default_rng(seed + 1)
    log = click_log(rows, seed)
    clicks = log["click"].to_numpy()
    return log.with_columns(
        slot=pl.Series(random.integers(0, 4, rows)),
        dwell=pl.Series(np.where(random.random(rows) < 0.1, np.nan, clicks + random.normal(size=rows))),
        seen=pl.Series(["|".join(map(str, random.integers(0, 9, 1 + click))) for click in clicks]),
        after=pl.Series(
            [[click + noise, noise] for click, noise in zip(clicks, random.normal(size=rows), strict=True)]
        ),
    )


def config_of(train: Path, **sections: Any) -> dict[str, Any]:
    return small_config(train, **{"fields": [dict(field) for field in MORE], "teacher": CROSS, **sections})


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log, a file without extra columns, and two finished runs: with extra fields, and without."""
    folder = tmp_path_factory.mktemp("extra")
    log = privileged_log(1500)
    log.write_parquet(folder / "clicks.parquet")
    log.drop(EXTRA).write_parquet(folder / "served.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        students = [{"depth": 2, "name": "student"}, {"depth": 1, "name": "flat"}]
        config = config_of(folder / "clicks.parquet", teacher=[CROSS, PLAIN], student=students)
        dagfm.fit(config, folder / "run", baselines=["scratch", "fm"], progress=Silent())
        without = small_config(folder / "clicks.parquet", teacher=PLAIN, student=students)
        dagfm.fit(without, folder / "without", baselines=["scratch", "fm"], progress=Silent())
    return folder


def weights(run: Path, stage: str) -> dict[str, Any]:
    return load_file(run / stage / "weights.safetensors")


# Serving ------------------------------------------------------------------------------------------------------------


def test_the_bundle_scores_rows_without_the_extra_columns(home: Path) -> None:
    scorer = dagfm.load(home / "run")
    assert set(scorer.schema.names) == {field["name"] for field in FIELDS}
    rows = pl.read_parquet(home / "served.parquet")
    whole = pl.read_parquet(home / "clicks.parquet")
    np.testing.assert_array_equal(scorer.predict(rows), scorer.predict(whole))
    assert not any(set(EXTRA) & set(path.read_text().split('"')) for path in (home / "run/bundle").rglob("*.json"))


@pytest.mark.parametrize("name", ["student", "flat"])
def test_the_bundle_says_what_the_trainer_said(home: Path, name: str) -> None:
    results = json.loads((home / "run/results.json").read_text())
    made_from = {one["name"]: one["phase"] for one in results["frontier"]}
    prepared = Path(json.loads((home / "run/prepared.json").read_text())["directory"])
    whole = read_encoder(prepared)
    order = np.random.default_rng(2022).permutation(1500)[:150]
    logits = np.load(home / "run" / made_from[name] / name / "test-logits.npy")
    scorer = dagfm.load(home / "run/bundles" / name)
    found = scorer.logits(pl.read_parquet(home / "served.parquet")[np.sort(order)])
    np.testing.assert_allclose(np.sort(found), np.sort(logits), atol=1e-4)
    assert len(whole.schema) == len(scorer.schema) + len(EXTRA)


@pytest.mark.parametrize("verb", ["evaluate", "predict"])
def test_on_the_command_line_no_extra_column_is_needed(home: Path, verb: str) -> None:
    done = CliRunner().invoke(app, [verb, str(home / "run"), str(home / "served.parquet")])
    assert done.exit_code == 0


# Training -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ("teacher_training/crossnet-2", "teacher_training/teacher"),
        *((f"baselines/{name}/decay-0.001-dropout-0.1",) * 2 for name in ("scratch", "scratch-flat", "fm")),
    ],
)
def test_who_does_not_see_them_trains_as_if_they_were_not_there(home: Path, mine: str, theirs: str) -> None:
    for name in ("weights.safetensors", "test-logits.npy"):
        assert (home / "run" / mine / name).read_bytes() == (home / "without" / theirs / name).read_bytes()


def test_the_teacher_sees_them(home: Path) -> None:
    results = json.loads((home / "run/results.json").read_text())
    auc = {line["name"]: line["metrics"]["test"]["auc"] for line in results["models"]}
    assert auc["crossnet-1"] > auc["crossnet-2"] + 0.05


def test_rows_are_prepared_once_for_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    config = config_of(home / "clicks.parquet", teacher={"network": "crossnet", "depth": 2})
    prepared = prepare(load_config(config), home, Silent())
    assert prepared.fingerprint == json.loads((home / "run/prepared.json").read_text())["fingerprint"]


@pytest.mark.parametrize("how", ["teacher_frozen", "teacher_trainable"])
def test_a_student_starts_from_the_rows_of_its_own_fields(
    home: Path, tmp_path: Path, how: str, monkeypatch: Any
) -> None:
    monkeypatch.chdir(home)
    distillation = {"embedding": how, "recombined": 0}
    config = config_of(home / "clicks.parquet", distillation=distillation)
    config["training"]["distillation"] |= {"learning_rate": 1e-30}
    run = dagfm.fit(config, tmp_path / "run", progress=Silent()).directory
    whole, part = read_encoder(run / "encoder"), read_encoder(run / "bundle")
    teacher = weights(run, "teacher_training/teacher")["embedding.weight"]
    student = weights(run, "distillation/student")["embedding.weight"]
    scale = None
    for node, name in enumerate(part.schema.names):
        mine = student[part.spans.slice_of(node)]
        theirs = teacher[whole.spans.slice_of(whole.schema.names.index(name))]
        ratio = mine[np.abs(theirs) > 1e-3] / theirs[np.abs(theirs) > 1e-3]
        scale = ratio[0] if scale is None else scale
        np.testing.assert_allclose(ratio, scale, rtol=1e-3)


def test_one_phase_alone_starts_from_a_student_of_fewer_fields(home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(home)
    config = config_of(home / "clicks.parquet", teacher=[CROSS, PLAIN], student={"depth": 2, "name": "student"})
    more = {"phase": "finetuning", "warm_up": str(home / "run")}
    run = dagfm.fit(config | more, tmp_path / "run", progress=Silent()).directory
    taken, given = (weights(one, "distillation/student") for one in (run, home / "run"))
    assert all((taken[name] == given[name]).all() for name in given)


def test_more_students_are_added_to_such_a_run(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / "run", tmp_path / "run")
    run = dagfm.distil(tmp_path / "run", [{"name": "third", "depth": 1, "type": "outer"}], progress=Silent())
    scorer = dagfm.load(run.directory / "bundles/third")
    assert len(scorer.predict(pl.read_parquet(home / "served.parquet"))) == 1500


def test_boosted_trees_see_them_with_their_network(home: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(home)
    below = {"network": "fm", "training": {"epochs": 1}}
    boosted = {"network": "boosted", "over": below, "folds": 2, "trees": 8, "min_rows": 20}
    teachers = [boosted, {**boosted, "extra_fields": EXTRA}]
    run = dagfm.fit(config_of(home / "clicks.parquet", teacher=teachers), tmp_path / "run", progress=Silent())
    auc = {line["name"]: line["metrics"]["test"]["auc"] for line in run.results["models"]}
    assert auc["boosted-2"] > auc["boosted-1"] + 0.03
    trees = [Booster(model_file=run.directory / f"teacher_training/boosted-{n}/trees.txt") for n in (1, 2)]
    # One id with its two tallied values, two numbers and one number, a sequence's first item and length.
    assert trees[1].num_feature() - trees[0].num_feature() >= 3 + 2 + 1 + 2
    tables = [weights(run.directory, f"teacher_training/boosted-{n}/fold-1")["embedding.weight"] for n in (1, 2)]
    assert len(tables[1]) > len(tables[0])
    alone = small_config(home / "clicks.parquet", teacher=boosted)
    other = dagfm.fit(alone, tmp_path / "alone", progress=Silent()).directory
    for name in ("trees.txt", "fold-2/weights.safetensors"):
        mine = (run.directory / "teacher_training/boosted-1" / name).read_bytes()
        assert mine == (other / "teacher_training/teacher" / name).read_bytes()


def test_a_column_that_students_do_not_see_is_never_the_one_that_is_recombined(
    home: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(home)
    config = config_of(home / "clicks.parquet", distillation={"pool": "fields", "recombined": 1.0})
    run = dagfm.fit(config, tmp_path / "run", progress=Silent()).directory
    columns = load_config(config).schema_.columns

    def drawn() -> set[str]:
        return {columns[index] for index in np.load(run / "teacher_logits/pool-column.npy")}

    assert drawn() == {field["name"] for field in FIELDS}
    seen_by_all = config | {"teacher": {"network": "crossnet", "depth": 2}}
    dagfm.fit(seen_by_all, run, progress=Silent())
    assert drawn() == {*columns}


def test_rows_that_only_an_extra_field_holds_count_as_unseen(home: Path, tmp_path: Path) -> None:
    log = privileged_log(300).with_columns(next=pl.Series([str(100 + index % 7) for index in range(300)]))
    log.write_parquet(tmp_path / "clicks.parquet")
    fields = [*FIELDS, {"name": "next", "vocabulary": "item", "side": "candidate"}]
    teacher = {"network": "fm", "extra_fields": ["next"]}
    config = load_config(small_config(tmp_path / "clicks.parquet", fields=fields, teacher=teacher))
    prepared = prepare(config, tmp_path, Silent())
    view = View.of(prepared, config.extra_fields)
    item = view.schema.names.index("item")
    counts = view.counts[view.encoder.spans.slice_of(item)]
    assert counts.sum() == len(prepared.train)
    assert (counts == 0).sum() >= 7
    others = np.delete(np.arange(len(view.counts)), np.arange(len(view.counts))[view.encoder.spans.slice_of(item)])
    assert (view.counts[others] == prepared.counts[others]).all()


def test_what_a_privileged_teacher_knows_reaches_the_student(folder: Path) -> None:
    """The extra field is the true logit but for noise: clicks tell it in single bits, the teacher in numbers."""
    random = np.random.default_rng(3)
    users, items = random.integers(0, 60, 3000), random.integers(0, 40, 3000)
    logit = random.normal(size=60)[users] + 1.5 * random.normal(size=40)[items]
    columns = {"user": users, "item": items, "known": logit + random.normal(size=3000) * 0.1}
    pl.DataFrame({**columns, "click": random.random(3000) < 1 / (1 + np.exp(-logit))}).write_parquet("log.parquet")
    fields = [{"name": "user", "side": "context"}, {"name": "item", "side": "candidate"}]
    config = small_config(Path("log.parquet"), student={"depth": 1})
    config["training"] |= {"batch_size": 64, "distillation": {"epochs": 20, "learning_rate": 0.02}}
    known = {"name": "known", "type": "float", "side": "candidate"}
    found = {}
    for name, teacher, seen in (("with", {"extra_fields": ["known"]}, [*fields, known]), ("without", {}, fields)):
        run = dagfm.fit(config | {"fields": seen, "teacher": {"depth": 1} | teacher}, name, progress=Silent())
        found[name] = {line["phase"]: line["metrics"]["test"] for line in run.results["models"]}
    for phase in ("teacher_training", "distillation", "finetuning"):
        assert found["with"][phase]["auc"] > found["without"][phase]["auc"] + 0.01
        assert found["with"][phase]["logloss"] < found["without"][phase]["logloss"] - 0.01


def test_rows_with_extra_fields_are_recombined_where_that_is_said(folder: Path) -> None:
    config = config_of(Path("log"))
    assert load_config(config).recombination is None
    assert load_config(config | {"distillation": {"alpha": 0.5}}).recombination is None
    assert load_config(config | {"distillation": {"recombined": 1.0}}).recombination == "sides"
    assert (
        load_config(config, ["distillation.recombined=1", "teacher=[{extra_fields: [slot]}]"]).recombination == "sides"
    )
    resolved = load_config(config).model_dump(mode="json")
    assert load_config(resolved).distillation == load_config(config).distillation


# Refused ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"teacher": {"extra_fields": ["dwel"]}}, r"'dwel' is no field; fields: slot, user.*Did you mean 'dwell'"),
        ({"teacher": {"extra_fields": [one["name"] for one in MORE]}}, "students would see none"),
        ({"student": {"extra_fields": ["dwell"]}}, "student: 'extra_fields' is of teachers"),
        (
            {"teacher": {"extra_fields": ["item"]}, "fields": [*FIELDS, {"name": "ui", "cross": ["user", "item"]}]},
            "field 'ui' is made of 'item', which students do not see",
        ),
        (
            {"teacher": {"extra_fields": ["item"]}, "fields": [*FIELDS, {"name": "next", "vocabulary": "item"}]},
            "field 'next' is made of 'item', which students do not see",
        ),
        (
            {
                "teacher": [{"extra_fields": ["item", "ui"]}, {"extra_fields": ["ui"], "name": "other"}],
                "fields": [*FIELDS, {"name": "ui", "cross": ["user", "item"]}],
            },
            "field 'ui' is made of 'item', which teacher 'other' does not see",
        ),
        (
            {"teacher": {"network": "boosted", "over": {"extra_fields": ["dwell"]}}},
            "over.extra_fields: is of the whole teacher",
        ),
        ({"teacher": {"scores": "s", "kind": "logit", "extra_fields": ["dwell"]}}, "unknown key"),
    ],
)
def test_what_cannot_be_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(config_of(Path("clicks.parquet"), **sections))


def test_a_cross_of_an_extra_field_may_be_one_too() -> None:
    fields = [*FIELDS, {"name": "ui", "cross": ["user", "item"]}]
    config = load_config(config_of(Path("log"), fields=fields, teacher={"extra_fields": ["item", "ui"]}))
    assert "ui" not in config.student_schema.names


def test_without_the_key_a_stage_is_made_from_what_it_was_before(finished: Any) -> None:
    for inputs in finished.run.rglob("inputs.json"):
        assert "fields" not in json.loads(inputs.read_text())
        assert "extra_fields" not in inputs.read_text()
