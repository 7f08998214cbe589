from pathlib import Path

import polars as pl
import pytest
from clicks import click_log, small_config

import dagfm
from dagfm.errors import InputError


def test_rows_from_memory_stand_for_files(folder: Path) -> None:
    config = small_config(Path("nowhere.csv"))
    config["phase"] = "teacher_training"
    config["data"]["format"] = "csv"
    del config["data"]["train"]
    frame = click_log(1500)
    frame.write_parquet("clicks.parquet")
    arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    run = dagfm.fit(config, "run", train=iter(arrow.to_batches(max_chunksize=100)))
    del config["data"]["format"]
    from_file = dagfm.fit({**config, "data": {**config["data"], "train": "clicks.parquet"}}, "other")
    assert run.results["rows"] == from_file.results["rows"]
    assert run.results["models"][0]["metrics"] == from_file.results["models"][0]["metrics"]
    parts = {"train": frame[:1000], "valid": frame[1000:1200].to_dicts(), "test": frame[1200:].to_pandas()}
    assert dagfm.fit(config, "parts", **parts).results["rows"] == {"train": 1000, "valid": 200, "test": 300}


def test_rows_that_are_refused(folder: Path) -> None:
    config = small_config(Path("nowhere.csv"))
    with pytest.raises(InputError, match="train: no rows"):
        dagfm.fit(config, "run", train=click_log(0))
    with pytest.raises(InputError, match=r"train\.parquet: row 3: label 'click' is empty"):
        broken = click_log(50).with_columns(click=pl.when(pl.int_range(50) == 2).then(None).otherwise("click"))
        dagfm.fit(config, "run", train=broken)
