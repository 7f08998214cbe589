"""Golden rows: every kind of field has some, they score where the bundle is read, and a change of the score is seen."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from clicks import Finished, Silent, click_log, small_config

import dagfm
from dagfm.encoding.frames import to_frame
from dagfm.files import MANIFEST
from dagfm.serving.bundle import read_bundle
from dagfm.serving.golden import ROWS, check_golden, golden_columns, with_golden
from dagfm.serving.scorer import Scorer


def test_a_bundle_scores_its_golden_rows_as_where_it_was_made(finished: Finished) -> None:
    scorer = dagfm.load(finished.bundle)
    golden = scorer.bundle.golden
    assert golden is not None
    assert len(golden.probabilities) == ROWS
    assert len(set(golden.probabilities)) > ROWS // 2, "rows that score alike check little"
    assert (check_golden(scorer) or 0) <= 1e-6


def test_golden_rows_meet_missing_unknown_and_known_values(finished: Finished) -> None:
    encoder = dagfm.load(finished.bundle).bundle.encoder
    columns = golden_columns(encoder)
    assert set(columns) == set(encoder.schema.columns)
    tokens = encoder.encode(to_frame(columns)).tokens
    assert (tokens[0] == 1).all()
    assert (tokens[1] == 0).all()
    assert (tokens[2:] >= 2).all()
    assert json.loads(json.dumps(columns)) == columns, "they travel as JSON"


def test_another_score_is_refused(finished: Finished) -> None:
    bundle = dagfm.load(finished.bundle).bundle
    weight = bundle.arrays["network.head.weight"]
    other = Scorer(replace(bundle, arrays={**bundle.arrays, "network.head.weight": weight * np.float32(1.05)}))
    with pytest.raises(dagfm.DagfmError, match="golden rows score otherwise"):
        check_golden(other)
    broken = Scorer(replace(bundle, calibration={"scale": float("nan"), "shift": 0.0}))
    with pytest.raises(dagfm.DagfmError, match="golden rows score otherwise"):
        check_golden(broken)


def test_a_bundle_without_golden_rows_still_loads(finished: Finished, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))
    (bundle / "golden.json").unlink()
    manifest = json.loads((bundle / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"], manifest["files"]["golden.json"]
    (bundle / MANIFEST).write_text(json.dumps(manifest))
    scorer = dagfm.load(bundle)
    assert read_bundle(bundle).golden is None
    assert check_golden(scorer) is None


FIELDS: list[dict[str, Any]] = [
    {"name": "user", "hash": 50, "side": "context"},
    {"name": "hour", "column": "when", "encode": "hour", "side": "context"},
    {"name": "weekday", "column": "stamp", "encode": "weekday", "time_format": "%y%m%d%H", "side": "context"},
    {"name": "item", "side": "candidate"},
    {"name": "again", "column": "item", "encode": "target", "side": "candidate"},
    {"name": "tags", "type": "token_seq", "side": "candidate"},
    {"name": "price", "type": "float", "encode": "quantile", "bins": 4, "side": "candidate"},
    {"name": "cost", "type": "float", "column": "price", "side": "candidate"},
    {"name": "squared", "type": "float", "column": "count", "encode": "log_squared", "side": "candidate"},
    {"name": "position", "type": "float_seq", "size": 2, "side": "candidate"},
    {"name": "crossed", "cross": ["user", "item"]},
]


def test_every_kind_of_field_has_golden_cells(folder: Path) -> None:
    log = click_log(600)
    log = log.with_columns(
        pl.col("tags").str.split("|"),
        when=pl.datetime(2026, 1, 1) + pl.duration(hours=pl.int_range(pl.len())),
        stamp=pl.lit("26010100"),
        count=pl.int_range(pl.len()),
    )
    log.write_parquet("train.parquet")
    config = small_config(Path("train.parquet"), fields=FIELDS)
    run = dagfm.fit(config, "run", progress=Silent())
    scorer = run.scorer()
    assert scorer.bundle.golden is not None
    assert (check_golden(scorer) or 0) <= 1e-6
    assert with_golden(scorer.bundle).golden == scorer.bundle.golden
