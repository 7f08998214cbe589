"""Rows with a score and no label: they teach, and change nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from clicks import Silent, click_log, small_config
from safetensors.torch import load_file

import dagfm
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.errors import InputError
from dagfm.training.losses import blended_loss

SCORES = {"scores": "s", "kind": "logit"}
ROWS, EXTRA = 600, 200


def logs() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A log with scores, and the same with rows between that have no label."""
    frame = click_log(ROWS + EXTRA).with_columns(s=pl.Series(np.random.default_rng(1).normal(size=ROWS + EXTRA)))
    without = np.isin(np.arange(ROWS + EXTRA) % 4, [2])
    holes = frame.with_columns(pl.when(pl.Series(without)).then(None).otherwise("click").alias("click"))
    return frame.filter(pl.Series(~without)), holes


def config_of(path: str, **sections: Any) -> dict[str, Any]:
    """All vocabularies known from the labelled rows: hashed, so that more rows change no id."""
    config = small_config(Path(path), teacher=SCORES, **sections)
    config["fields"] = [{"name": "user", "hash": 64}, {"name": "item", "hash": 64}]
    return config


def prepared(path: str, folder: Path, **data: Any) -> Prepared:
    config = config_of(path)
    config["data"] |= data
    return prepare(dagfm.load_config(config), folder, Silent())


@pytest.fixture
def both(folder: Path) -> Path:
    for frame, name in zip(logs(), ("labelled", "holes"), strict=True):
        frame.write_parquet(f"{name}.parquet")
    return folder


def test_they_are_training_rows_and_the_others_are_split_as_without_them(both: Path) -> None:
    without, found = prepared("labelled.parquet", both), prepared("holes.parquet", both)
    assert found.train.unlabelled == EXTRA
    assert len(found.train) == len(without.train) + EXTRA
    for part in ("valid", "test"):
        one, two = getattr(without, part), getattr(found, part)
        assert np.array_equal(one.labels, two.labels)
        assert np.array_equal(one.rows.tokens, two.rows.tokens)
        assert np.array_equal(one.scores, two.scores)
    labelled = found.train.labelled
    assert labelled is not None
    assert np.array_equal(labelled, np.flatnonzero(~np.isnan(found.train.labels)))
    assert np.array_equal(found.train.labels[labelled], without.train.labels)
    assert np.array_equal(found.train.scores[labelled], without.train.scores)  # type: ignore[index]
    assert found.click_rates() == pytest.approx(without.click_rates())


def test_they_distil_and_neither_finetune_nor_train_from_scratch(both: Path) -> None:
    runs = {
        name: dagfm.fit(
            config_of(f"{name}.parquet", distillation={"alpha": 0.5}), name, baselines=["scratch"], progress=Silent()
        )
        for name in ("labelled", "holes")
    }
    rows = runs["holes"].results["rows"]
    assert rows == {**runs["labelled"].results["rows"], "train": rows["train"], "unlabelled": EXTRA}

    def equal(phase: str) -> bool:
        """Of the networks; the embedding of ids that training rows lack is a mean over all of these."""
        one, two = (load_file(runs[name].directory / phase / "weights.safetensors") for name in runs)
        return all(torch.equal(one[name], two[name]) for name in one if not name.startswith("embedding"))

    assert not equal("distillation/student")
    assert equal("baselines/scratch/decay-0.001-dropout-0.1")
    for name in runs:
        (line,) = (one for one in runs[name].results["models"] if one["phase"] == "finetuning")
        assert 0 < line["metrics"]["test"]["auc"] < 1


def test_target_statistics_count_them_not(both: Path) -> None:
    targets = [{"name": "user", "hash": 64}, {"name": "rate", "column": "item", "encode": "target"}]
    found = {}
    for name in ("labelled", "holes"):
        config = {**config_of(f"{name}.parquet"), "fields": targets}
        encoder = prepare(dagfm.load_config(config), both, Silent()).encoder
        statistics = encoder.statistics["rate"]
        found[name] = sorted(zip(statistics.clicks, statistics.rows, strict=True)), statistics.prior
    assert found["labelled"] == found["holes"]


@pytest.mark.parametrize("by", ["time", "group"])
def test_they_train_wherever_the_split_would_put_them(both: Path, by: str) -> None:
    for name in ("labelled", "holes"):
        frame = pl.read_parquet(f"{name}.parquet")
        frame.with_columns(when=pl.Series(np.random.default_rng(0).permutation(len(frame)))).write_parquet(
            f"{name}.parquet"
        )
    column = {"time": "when", "group": "user"}[by]
    found = prepared("holes.parquet", both, split={"by": by, "column": column})
    assert found.train.unlabelled == EXTRA
    assert not np.isnan(found.valid.labels).any()
    assert not np.isnan(found.test.labels).any()


def test_a_row_without_label_and_score_is_refused_and_so_is_one_to_judge_by(both: Path) -> None:
    labelled, holes = logs()
    empty = holes.with_columns(pl.when(pl.col("click").is_null()).then(None).otherwise("s").alias("s"))
    empty.write_parquet("empty.parquet")
    with pytest.raises(InputError, match=r"empty\.parquet: row 3: score 's' is empty"):
        prepared("empty.parquet", both)
    labelled.write_parquet("test.parquet")
    with pytest.raises(InputError, match=r"holes\.parquet: row 3: label 'click' is empty"):
        prepared("labelled.parquet", both, valid="holes.parquet", test="test.parquet")
    with pytest.raises(InputError, match=r"holes\.parquet: row 3: label 'click' is empty"):
        dagfm.fit({**config_of("holes.parquet"), "teacher": {"network": "fm"}}, "run", progress=Silent())


@pytest.mark.parametrize("weighted", [False, True])
def test_bce_is_the_mean_over_the_labelled_rows(weighted: bool) -> None:
    torch.manual_seed(0)
    logits, teacher, labels = torch.randn(6), torch.randn(6), torch.tensor([0, 1, torch.nan, 1, torch.nan])
    weights = torch.tensor([1.0, 2.0, 5.0, 0.5, 5.0]) if weighted else None
    known = ~torch.isnan(labels)
    there = torch.cat([known, torch.tensor([False])])
    alone = blended_loss(logits[there], labels[known], None, 0.7, 0.0, None if weights is None else weights[known])
    distance = blended_loss(logits, torch.zeros(5), teacher, 0.0, 0.3, weights)
    found = blended_loss(logits, labels, teacher, 0.7, 0.3, weights, known)
    assert found.item() == pytest.approx((alone + distance).item(), rel=1e-6)


def test_a_batch_without_any_label_has_no_bce_and_no_nan_in_its_gradient() -> None:
    logits = torch.zeros(3, requires_grad=True)
    loss = blended_loss(
        logits, torch.full((3,), torch.nan), torch.ones(3), 1.0, 1.0, None, torch.zeros(3, dtype=torch.bool)
    )
    loss.backward()
    assert loss.item() == pytest.approx(1.0)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
