"""Vocabularies that are learned at the same time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Silent

from dagfm.config import load_config
from dagfm.data import threads
from dagfm.data.prepare import prepare


def test_fields_of_one_column_learn_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They read the same codes; what one groups must not be what the other groups."""
    monkeypatch.setattr(threads, "threads", lambda: 4)
    random = np.random.default_rng(0)
    ids = random.integers(0, 3000, 20_000)
    pl.DataFrame({"id": ids, "click": random.integers(0, 2, len(ids))}).write_parquet(tmp_path / "log.parquet")
    fields = [{"name": f"at_least_{least}", "column": "id", "min_count": least} for least in (1, 4, 8, 12)]
    config = load_config({"data": {"train": str(tmp_path / "log.parquet"), "label": "click"}, "fields": fields})
    encoder = prepare(config, tmp_path, Silent()).encoder
    counted = encoder.vocabularies["at_least_1"].counts.to_numpy()
    for least in (4, 8, 12):
        assert len(encoder.vocabularies[f"at_least_{least}"].tokens) == np.count_nonzero(counted >= least)
