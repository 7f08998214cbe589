"""The boosted teacher: out of fold in every column, resumed fold by fold, a member like any other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import BOOSTED, Silent, Told, click_log, small_config
from lightgbm import Booster

import dagfm
from dagfm.config import load_config
from dagfm.data.dataset import Dataset, Prepared
from dagfm.data.prepare import prepare
from dagfm.errors import DagfmError, InputError
from dagfm.training import boosted, one_phase
from dagfm.training.scoring import scores_of
from dagfm.training.tallies import Tally, tallied_fields


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("boosted")
    click_log(1000).write_parquet(folder / "log.parquet")
    return prepare(load_config(small_config(folder / "log.parquet")), folder, Silent())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dagfm.Run:
    folder = tmp_path_factory.mktemp("run")
    click_log().write_parquet(folder / "log.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        members = [BOOSTED, {"network": "crossnet", "depth": 1}]
        return dagfm.fit(small_config(folder / "log.parquet") | {"teacher": members}, folder / "run", progress=Silent())


def state_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def by_hand(prepared: Prepared, row: int, folds: np.ndarray, names: tuple[str, ...]) -> list[float]:
    """The values of a training row from the rows of the other folds, one row at a time."""
    train, schema = prepared.train, prepared.encoder.schema
    columns = [schema.ids_column(name) for name in names]
    weights = np.ones(len(train)) if train.weights is None else train.weights
    clicks = rows = all_clicks = all_rows = 0.0
    for other in range(len(train)):
        if folds[other] != folds[row]:
            all_clicks, all_rows = all_clicks + weights[other] * train.labels[other], all_rows + weights[other]
            if (train.rows.tokens[other, columns] == train.rows.tokens[row, columns]).all():
                clicks, rows = clicks + weights[other] * train.labels[other], rows + weights[other]
    rate = (clicks + 20 * all_clicks / all_rows) / (rows + 20)
    return [np.log(rate / (1 - rate)), np.log1p(rows)]


@pytest.mark.parametrize("names", [("user",), ("group", "item")])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_training_row_is_told_the_other_folds_alone(
    prepared: Prepared, names: tuple[str, ...], weighted: bool
) -> None:
    random = np.random.default_rng(0)
    train = prepared.train
    folds = random.integers(0, 3, len(train))
    weights = random.uniform(1, 3, len(train)).astype(np.float32) if weighted else None
    prepared = Prepared(**{**prepared.__dict__, "train": Dataset(train.rows, train.labels, weights)})
    tally, values = Tally.of(names, prepared.train, prepared.encoder, folds, 3)
    for row in (0, 1, 17, len(train) - 1):
        np.testing.assert_allclose(values[row], by_hand(prepared, row, folds, names), rtol=1e-5, atol=1e-5)
    # A row that is no training row is told all of them: as one of a fold of its own.
    alone = np.where(np.arange(len(train)) == 5, 1, 0)
    shown = tally.values(train.rows.take(np.array([5])), prepared.encoder.schema)
    own = Tally.of(names, prepared.train, prepared.encoder, alone, 2)[1][5]
    assert shown[0, 1] > own[1]


def test_ids_never_seen_are_told_the_click_rate(prepared: Prepared) -> None:
    frame = click_log(5).with_columns(user=pl.lit("stranger"))
    rows, train = prepared.encoder.encode(frame), prepared.train
    tally, _ = Tally.of(("user",), train, prepared.encoder, np.arange(len(train)) % 2, 2)
    rate = float(train.labels.mean())
    np.testing.assert_allclose(
        tally.values(rows, prepared.encoder.schema), [[np.log(rate / (1 - rate)), 0]] * 5, rtol=1e-5
    )


def test_auto_tallies_every_id_and_the_pairs_that_come_again(prepared: Prepared) -> None:
    encoder = prepared.encoder
    singles = [("user",), ("group",), ("item",)]
    assert tallied_fields("auto", encoder, 800) == [*singles, ("group", "item")]
    assert tallied_fields("auto", encoder, 10**6) == [*singles, ("user", "item"), ("group", "item")]
    assert tallied_fields("auto", encoder, 10) == singles
    assert tallied_fields(["item", ("user", "group")], encoder, 10) == [("item",), ("user", "group")]
    with pytest.raises(InputError, match=r"'statistics' names 'prize'.*user, group, item"):
        tallied_fields(["prize"], encoder, 10)


def test_a_boosted_member_stands_beside_networks(trained: dagfm.Run) -> None:
    place = trained.directory / "teacher_training"
    assert {path.name for path in place.iterdir()} == {"boosted-1", "crossnet-2"}
    assert (place / "boosted-1" / "trees.txt").read_text().startswith("tree\n")
    entries = {entry["name"]: entry for entry in trained.results["models"]}
    assert entries["boosted-1"]["network"] == "boosted"
    trees = Booster(model_file=place / "boosted-1" / "trees.txt").dump_model()["tree_info"]
    assert entries["boosted-1"]["parameters"] == 2 * 1 + sum(2 * tree["num_leaves"] - 1 for tree in trees)
    assert trees[0]["num_leaves"] > 2
    assert entries["ensemble"]["network"] == "boosted+crossnet"
    assert np.isfinite(np.load(trained.directory / "teacher_logits" / "pool-logits.npy")).all()
    assert trained.bundle.is_dir()


def test_the_trees_see_logits_of_networks_that_were_not_trained_on_the_row(
    log_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained_on: list[np.ndarray] = []
    seen: dict[str, Any] = {}
    train, grow = one_phase.train, boosted._grow

    def spied_train(model: Any, task: Any, *rest: Any) -> Any:
        trained_on.append(task.batches.among)
        return train(model, task, *rest)

    def spied_grow(shop: Any, config: Any, logits: np.ndarray, folds: np.ndarray, *rest: Any) -> Any:
        seen.update(shop=shop, logits=logits, folds=folds)
        return grow(shop, config, logits, folds, *rest)

    monkeypatch.setattr(one_phase, "train", spied_train)
    monkeypatch.setattr(boosted, "_grow", spied_grow)
    config = small_config(log_path) | {"teacher": BOOSTED}
    run = dagfm.fit(config, folder / "run", overrides=["phase=teacher_training"], progress=Silent())
    shop, rows = seen["shop"], seen["shop"].prepared.train.rows
    for fold, among in enumerate(trained_on):
        held = np.setdiff1d(np.arange(len(rows)), among)
        assert abs(len(held) - len(rows) / 2) <= 1
        assert (seen["folds"][held] == fold).all()
        weights = run.directory / f"teacher_training/teacher/fold-{fold + 1}/weights.safetensors"
        alone = scores_of(shop.restored(config_of(config), weights))(rows.take(held))
        np.testing.assert_allclose(seen["logits"][held], alone, rtol=1e-5, atol=1e-6)


def config_of(config: dict[str, Any]) -> Any:
    return load_config(config).teacher[0].over  # type: ignore[union-attr]


def test_equal_seeds_give_equal_trees_and_a_finished_teacher_is_not_trained_again(
    trained: dagfm.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    log = trained.directory.parent / "log.parquet"
    config = small_config(log) | {"teacher": BOOSTED | {"name": "trees"}}
    overrides = ["phase=teacher_training"]
    dagfm.fit(config, tmp_path / "run", overrides=overrides, progress=Silent())
    here, there = tmp_path / "run/teacher_training/trees", trained.directory / "teacher_training/boosted-1"
    for name in ("trees.txt", "tallies.safetensors", "fold-2/weights.safetensors"):
        assert (here / name).read_bytes() == (there / name).read_bytes()
    before = state_of(here)
    told = Told()
    dagfm.fit(config, tmp_path / "run", overrides=overrides, progress=told)
    assert state_of(here) == before
    assert "teacher_training of trees (seed 2022) is done" in told.lines


def test_what_was_broken_off_goes_on_at_the_fold_it_had_reached(
    trained: dagfm.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = small_config(trained.directory.parent / "log.parquet") | {"teacher": BOOSTED | {"name": "trees"}}
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("dagfm.training.boosted._grow", _broken_off)
        dagfm.fit(config, tmp_path / "run", overrides=["phase=teacher_training"], progress=Silent())
    place = tmp_path / "run/teacher_training/trees"
    before = state_of(place / "fold-1")
    dagfm.fit(config, tmp_path / "run", overrides=["phase=teacher_training"], progress=Silent())
    assert state_of(place / "fold-1") == before
    expected = trained.directory / "teacher_training/boosted-1/trees.txt"
    assert (place / "trees.txt").read_bytes() == expected.read_bytes()


def _broken_off(*arguments: object) -> None:
    raise KeyboardInterrupt


def test_without_lightgbm_the_command_that_installs_it_is_told(
    log_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lightgbm", None)
    with pytest.raises(DagfmError, match=r"pip install 'dagfm\[boosted\]'"):
        dagfm.fit(small_config(log_path) | {"teacher": BOOSTED}, folder / "run", progress=Silent())
    assert not (folder / "run").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 8}, "'size' is of the network below the trees"),
        ({"training": {"epochs": 2}}, "'training' is of the network"),
        ({"over": {"network": "fm", "seeds": 2}}, "over.seeds"),
        ({"over": {"network": "boosted"}}, "unknown network 'boosted'"),
        ({"over": {"network": "crossnet", "dept": 2}}, "unknown key 'teacher.0.over.dept'.*depth"),
        ({"folds": 1}, "folds"),
    ],
)
def test_wrong_settings_are_refused(log_path: Path, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_config(small_config(log_path) | {"teacher": BOOSTED | settings})
