"""Files of scores: the rows' order and the scorer's numbers in every format, however often the work was cut off."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from clicks import Finished, click_log, small_config
from filelock import FileLock

import dagfm
from dagfm import files
from dagfm.batch import predict as predicting
from dagfm.batch.predict import Task, predict_file, predict_lines
from dagfm.batch.rows import RawRows
from dagfm.config.files import FileOptions, TableConfig
from dagfm.errors import InputError
from dagfm.progress import LoggedProgress

AT_ONCE = 64
ROWS = 500
PARTS = -(-ROWS // AT_ONCE)
SUFFIXES = ("csv", "tsv", "parquet")


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RawRows, "at_once", AT_ONCE)


@pytest.fixture
def rows(folder: Path) -> pl.DataFrame:
    """rows.parquet, in row groups that are no parts."""
    frame = click_log(ROWS, seed=3)
    frame.write_parquet("rows.parquet", row_group_size=150)
    return frame


def task_of(finished: Finished, rows: str = "rows.parquet", *keep: str, **tables: str) -> Task:
    return Task(
        finished.bundle, rows, FileOptions(), {key: TableConfig(path=path) for key, path in tables.items()}, keep
    )


def predict(task: Task, output: str) -> pl.DataFrame:
    predict_file(task, Path(output), LoggedProgress(), print)
    return read(output)


def read(path: str) -> pl.DataFrame:
    if path.endswith("parquet"):
        return pl.read_parquet(path)
    return pl.read_csv(path, separator="\t" if path.endswith("tsv") else ",")


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def scores_of(finished: Finished, frame: pl.DataFrame) -> np.ndarray:
    return dagfm.load(finished.bundle).predict(frame)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [1, AT_ONCE, AT_ONCE + 1, ROWS])
def test_every_row_has_its_score_in_its_place(finished: Finished, rows: pl.DataFrame, suffix: str, count: int) -> None:
    rows[:count].write_parquet("some.parquet")
    found = predict(task_of(finished, "some.parquet", "user", "item", "price"), f"scores.{suffix}")
    assert found.columns == ["user", "item", "price", "probability"]
    assert found["user"].to_list() == rows["user"][:count].to_list()
    assert found["item"].to_list() == rows["item"][:count].to_list()
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows[:count]))
    assert names() == ["rows.parquet", f"scores.{suffix}", "some.parquet"]


def test_lines_are_the_bytes_of_the_file_and_of_the_whole_table(finished: Finished, rows: pl.DataFrame) -> None:
    task = task_of(finished, "rows.parquet", "user", "group", "price")
    predict(task, "scores.csv")
    whole = rows.select("user", "group", "price", probability=pl.Series(scores_of(finished, rows)))
    told = list(predict_lines(task, LoggedProgress(), print))
    assert len(told) == PARTS
    assert b"".join(told) == Path("scores.csv").read_bytes() == whole.write_csv().encode()


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("given", ["csv", "parquet"])
def test_of_no_rows_there_are_no_scores(finished: Finished, folder: Path, given: str, suffix: str) -> None:
    """As on the hour in which nothing happened: who reads the scores finds their columns."""
    none = click_log(3, seed=3).clear()
    none.write_parquet("rows.parquet")
    Path("rows.csv").write_text(f"{','.join(none.columns)}\n")
    task = task_of(finished, f"rows.{given}", "user", "price")
    found = predict(task, f"out.{suffix}")
    assert found.columns == ["user", "price", "probability"]
    assert found.height == 0
    if suffix == given == "parquet":
        assert found.schema == {**none.select("user", "price").schema, "probability": pl.Float32}
    assert b"".join(predict_lines(task, LoggedProgress(), print)) == b"user,price,probability\n"
    assert not list(folder.glob("*.parts"))
    with pytest.raises(InputError, match="column 'users' is in none of the files"):
        predict(task_of(finished, f"rows.{given}", "users"), "out.csv")


def test_parquet_keeps_types_and_lists(finished: Finished, rows: pl.DataFrame) -> None:
    found = predict(task_of(finished, "rows.parquet", "position", "click", "group"), "scores.parquet")
    assert found.schema == {**rows.select("position", "click", "group").schema, "probability": pl.Float32()}
    assert found.drop("probability").equals(rows.select("position", "click", "group"))
    assert pq.ParquetFile("scores.parquet").num_row_groups == PARTS
    for suffix in ("csv", "tsv"):
        with pytest.raises(InputError, match=r"--keep position: holds List\(Float64\), which CSV cannot"):
            predict(task_of(finished, "rows.parquet", "position"), f"scores.{suffix}")
    assert names() == ["rows.parquet", "scores.parquet"]


def test_files_of_a_glob_and_of_partitions_come_in_their_order(finished: Finished, rows: pl.DataFrame) -> None:
    cuts = [0, 3, 170, 171, 400, ROWS]
    for number, (start, end) in enumerate(pairwise(cuts)):
        Path(f"log/day={number}").mkdir(parents=True)
        rows[start:end].write_parquet(f"log/day={number}/rows.parquet")
    expected = scores_of(finished, rows)
    for given in ("log", "log/day=*", "log/*/rows.parquet"):
        found = predict(task_of(finished, given, "day", "user"), "scores.parquet")
        assert found["user"].to_list() == rows["user"].to_list()
        assert found["day"].to_list() == [str(np.searchsorted(cuts, row, "right") - 1) for row in range(ROWS)]
        np.testing.assert_array_equal(found["probability"], expected)
    with pytest.raises(InputError, match="lies in log, whose files are all read"):
        predict(task_of(finished, "log"), "log/day=0/scores.csv")


def test_text_is_converted_beside_the_output_and_side_tables_are_joined(finished: Finished, folder: Path) -> None:
    frame = click_log(ROWS, seed=3)
    frame.select("item", "tags").unique("item").sort("item").write_csv("items.csv")
    frame.drop("tags").with_columns(position=pl.lit(None)).write_csv("rows.csv")
    found = predict(task_of(finished, "rows.csv", "tags", item="items.csv"), "scores.tsv")
    joined = frame.with_columns(position=pl.lit(None), price=pl.col("price").cast(pl.String))
    assert found["tags"].to_list() == [tags or None for tags in frame["tags"]]
    np.testing.assert_allclose(found["probability"], scores_of(finished, joined), atol=1e-7)
    assert names() == ["items.csv", "rows.csv", "scores.tsv"]


def test_fields_that_are_made_of_columns_with_other_names(folder: Path) -> None:
    click_log(600).write_parquet("clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["fields"] += [{"name": "band", "type": "float", "encode": "quantile", "bins": 4, "column": "price"}]
    config["fields"] += [{"name": "pair", "cross": ["user", "group"], "side": "context"}]
    dagfm.fit(config, folder / "run")
    task = Task(folder / "run", "clicks.parquet", FileOptions(), {}, ())
    np.testing.assert_array_equal(
        predict(task, "scores.parquet")["probability"], dagfm.load("run").predict(click_log(600))
    )


# Cut off -----------------------------------------------------------------------------------------------------------


CUT = """
import os, signal, sys
from dagfm.batch import predict
from dagfm.batch.rows import RawRows
from dagfm.cli import main

RawRows.at_once = int(sys.argv.pop(1))
cut, number = sys.argv.pop(1).split(":")
if number == "0" and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one part at a time: none is finished before the first
written = predict._written

def cutting(task, form, parts, at_once, some):
    if some.first // at_once == int(number):
        os.kill(os.getpid(), getattr(signal, cut))
    return written(task, form, parts, at_once, some)

predict._written = cutting
main()
"""


def run_cut(cut: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", CUT, str(AT_ONCE), cut, "predict", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_killed_it_goes_on_and_ends_in_the_same_bytes(finished: Finished, rows: pl.DataFrame, suffix: str) -> None:
    task = task_of(finished, "rows.parquet", "user")
    predict(task, f"whole.{suffix}")
    Path(f"scores.{suffix}").write_text("yesterday's")
    arguments = (finished.bundle, "rows.parquet", "-o", f"scores.{suffix}", "--keep", "user")
    assert run_cut("SIGKILL:3", *arguments).returncode == -signal.SIGKILL
    assert Path(f"scores.{suffix}").read_text() == "yesterday's"
    first = Path(f"scores.{suffix}.parts/000000.{suffix}")
    made = first.stat().st_mtime_ns
    again = run_cut("SIGKILL:5", *arguments)
    assert again.returncode == -signal.SIGKILL
    # Two at a time: the one before may not have been finished.
    assert re.search(rf"goes on at row ({AT_ONCE + 1}|{2 * AT_ONCE + 1}|{3 * AT_ONCE + 1}) of {ROWS}", again.stderr)
    assert first.stat().st_mtime_ns == made
    predict(task, f"scores.{suffix}")
    assert Path(f"scores.{suffix}").read_bytes() == Path(f"whole.{suffix}").read_bytes()
    assert names() == ["rows.parquet", f"scores.{suffix}", f"whole.{suffix}"]


def test_interrupted_it_leaves_with_130_and_says_how_to_go_on(finished: Finished, rows: pl.DataFrame) -> None:
    done = run_cut("SIGINT:4", finished.bundle, "rows.parquet", "-o", "scores.csv")
    assert done.returncode == 130
    told = done.stderr.splitlines()
    assert told[-2:] == [
        "scores.csv: what is finished stays in scores.csv.parts",
        "interrupted; run the same command again to resume",
    ]
    assert not Path("scores.csv").exists()
    found = predict(task_of(finished), "scores.csv")
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows))
    assert names() == ["rows.parquet", "scores.csv"]


def test_interrupted_before_anything_is_finished_nothing_stays(finished: Finished, rows: pl.DataFrame) -> None:
    done = run_cut("SIGINT:0", finished.bundle, "rows.parquet", "-o", "deep/scores.csv")
    assert done.returncode == 130
    assert names() == ["rows.parquet"]


def fail_at(monkeypatch: pytest.MonkeyPatch, part: int, error: BaseException) -> None:
    """Let the next call, and no other one, fail when it is about to write a part."""
    written = predicting._written

    def failing(task: Task, form: Any, parts: Any, at_once: int, some: Any) -> int:
        if some.first // at_once == part:
            monkeypatch.setattr(predicting, "_written", written)
            raise error
        return written(task, form, parts, at_once, some)

    monkeypatch.setattr(predicting, "_written", failing)


@pytest.mark.parametrize("changed", ["bundle", "input", "options"])
def test_parts_of_something_else_are_made_anew(
    finished: Finished,
    rows: pl.DataFrame,
    changed: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle = Path(shutil.copytree(finished.bundle, "bundle"))
    task = Task(bundle, "rows.parquet", FileOptions(), {}, ("user",))
    fail_at(monkeypatch, 3, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        predict(task, "scores.csv")
    if changed == "bundle":
        manifest = json.loads((bundle / "manifest.json").read_text())
        del manifest["fingerprint of this manifest"]
        (bundle / "manifest.json").write_text(json.dumps(manifest | {"note": "another"}))
    elif changed == "input":
        rows = rows.with_columns(item=pl.col("item") + 1)
        rows.write_parquet("rows.parquet")
    else:
        task = Task(bundle, "rows.parquet", FileOptions(), {}, ("item",))
    with caplog.at_level(logging.INFO, "dagfm"):
        found = predict(task, "scores.csv")
    assert f"scores.csv.parts: the {changed} changed since: starting over" in caplog.text
    assert "goes on" not in caplog.text
    assert found.columns == [*task.keep, "probability"]
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows))


def test_a_part_that_is_lost_is_made_again_with_all_that_follow(finished: Finished, rows: pl.DataFrame) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 5, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            predict(task_of(finished), "scores.csv")
    Path("scores.csv.parts/000001.csv").unlink()
    found = predict(task_of(finished), "scores.csv")
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows))


def test_a_full_disk_is_told_and_what_is_finished_stays(
    finished: Finished, rows: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync, calls = files._sync, 0

    def full(path: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    monkeypatch.setattr(files, "_sync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        predict(task_of(finished), "scores.csv")
    assert raised.value.filename.startswith("scores.csv.parts/00000")
    monkeypatch.setattr(files, "_sync", sync)
    assert Path("scores.csv.parts/000000.csv").exists()
    found = predict(task_of(finished), "scores.csv")
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows))


def test_a_refused_row_late_in_the_files_leaves_nothing(finished: Finished, rows: pl.DataFrame) -> None:
    text = rows.with_columns(pl.col("price").cast(pl.String))
    text[:200].write_parquet("day1.parquet")
    text[200:].with_columns(
        pl.when(pl.int_range(pl.len()) == 250).then(pl.lit("dear")).otherwise("price").alias("price")
    ).write_parquet("day2.parquet")
    task, told = task_of(finished, "day*.parquet"), "day2.parquet: row 251: column 'price' holds 'dear'"
    with pytest.raises(InputError, match=told):
        predict(task, "scores.csv")
    assert names() == ["day1.parquet", "day2.parquet", "rows.parquet"]
    lines = predict_lines(task, LoggedProgress(), print)
    assert len([next(lines) for _ in range(6)]) == 6
    with pytest.raises(InputError, match=told):
        list(lines)


def test_somebody_elses_folder_and_another_process_are_respected(finished: Finished, rows: pl.DataFrame) -> None:
    Path("scores.csv.parts").mkdir()
    with FileLock("scores.csv.parts/.lock"), pytest.raises(InputError, match="another process is writing it"):
        predict(task_of(finished), "scores.csv")
    Path("scores.csv.parts").mkdir(exist_ok=True)
    Path("scores.csv.parts/letter.txt").write_text("mine")
    with pytest.raises(InputError, match=r"scores\.csv\.parts: holds something else \(letter\.txt\)"):
        predict(task_of(finished), "scores.csv")
    assert Path("scores.csv.parts/letter.txt").read_text() == "mine"


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_stops_reading_is_told_nothing(finished: Finished, folder: Path, unbuffered: str) -> None:
    click_log(60_000, seed=3).write_parquet("rows.parquet")
    command = [sys.executable, "-m", "dagfm", "predict", str(finished.bundle), "rows.parquet"]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b"probability\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


@pytest.mark.parametrize("damage", ["cut", "altered", "other columns"])
def test_a_damaged_part_is_told_and_made_again(finished: Finished, rows: pl.DataFrame, damage: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            predict(task_of(finished), "scores.parquet")
    part = Path("scores.parquet.parts/000001.parquet")
    data = part.read_bytes()
    if damage == "other columns":
        pl.read_parquet(part).rename({"probability": "chance"}).write_parquet(part)
    else:
        part.write_bytes(data[:-9] if damage == "cut" else data[:30] + bytes([data[30] ^ 255]) + data[31:])
    with pytest.raises(InputError, match=r"parts/000001\.parquet: .*run the same command again"):
        predict(task_of(finished), "scores.parquet")
    found = predict(task_of(finished), "scores.parquet")
    np.testing.assert_array_equal(found["probability"], scores_of(finished, rows))


@pytest.mark.parametrize("made_from", [None, 5, {"a": 1}])
def test_parts_that_do_not_say_what_they_are_of_are_made_anew(
    finished: Finished, rows: pl.DataFrame, made_from: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 3, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            predict(task_of(finished), "scores.csv")
    manifest = Path("scores.csv.parts/manifest.json")
    manifest.write_text(json.dumps({"kind": "dagfm scored parts", "made_from": made_from}))
    Path("scores.csv.parts/000000.csv").write_text("something else")
    found = predict(task_of(finished), "scores.csv")
    np.testing.assert_array_equal(found["probability"].cast(pl.Float32), scores_of(finished, rows))
