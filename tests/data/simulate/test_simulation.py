"""What a simulation writes: the same rows for the same seed, a truth that nothing beats, and no work done twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from dagfm.config import load_config
from dagfm.data.prepare import prepare
from dagfm.data.simulate import Simulation, simulate
from dagfm.errors import InputError
from dagfm.metrics import auc, logloss

SMALL: dict[str, Any] = {"rows": 80_000, "fields": 5, "ids": 300, "floats": 1, "shard_rows": 35_000}


def rows_for_testing(rows: int) -> np.ndarray:
    """The test rows of the default split, ascending."""
    return np.sort(np.random.default_rng(2022).permutation(rows)[: rows // 10])


def log(simulation: Simulation) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in simulation.shards])


def truth(simulation: Simulation) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(path) for path in sorted((simulation.directory / "truth").iterdir())])


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Simulation:
    """A simulation that no test may change."""
    return simulate(tmp_path_factory.mktemp("simulated") / "log", **SMALL)


def test_the_files_are_what_they_should_be(made: Simulation) -> None:
    assert {path.name for path in made.directory.iterdir()} == {
        *(f"clicks-{shard:05d}.parquet" for shard in range(3)),
        "dagfm.yaml",
        "simulation.json",
        "truth",
        ".lock",
    }
    assert [pl.scan_parquet(path).select(pl.len()).collect().item() for path in made.shards] == [35_000, 35_000, 10_000]
    frame = log(made)
    assert frame.columns == ["click", "timestamp", "n1", "t1", "t2", "t3", "t4"]
    assert frame["t4"].dtype == pl.String
    assert frame.null_count().sum_horizontal().item() == 0
    assert frame["timestamp"].is_sorted()
    assert frame["timestamp"][-1] - frame["timestamp"][0] == 30 * 86_400 - 33  # the last row is 32.4 s before the end


def test_the_configuration_prepares(made: Simulation, tmp_path: Path) -> None:
    config = load_config(made.config)
    assert {field.name: (field.type, field.side) for field in config.fields} == {
        "n1": ("float", "context"),
        "t1": ("token", "context"),
        "t2": ("token", "candidate"),
        "t3": ("token", "context"),
        "t4": ("token", "candidate"),
    }
    prepared = prepare(config, tmp_path)
    assert [len(getattr(prepared, part)) for part in ("train", "valid", "test")] == [64_000, 8_000, 8_000]
    labels = log(made)["click"].to_numpy()[rows_for_testing(80_000)]
    np.testing.assert_array_equal(prepared.test.labels, labels)


def test_equal_options_give_equal_bytes(made: Simulation, tmp_path: Path) -> None:
    again = simulate(tmp_path / "again", **SMALL)
    assert contents(again.directory) == contents(made.directory)
    other = simulate(tmp_path / "other", **{**SMALL, "seed": 1})
    assert (log(other)["t4"] != log(made)["t4"]).mean() > 0.9


def rows_for_testing_do_not_depend_on_shards_or_on_how_many_follow(made: Simulation, tmp_path: Path) -> None:
    whole = log(made)
    shards = simulate(tmp_path / "shards", **{**SMALL, "shard_rows": 13_000})
    assert log(shards).equals(whole)
    assert truth(shards).equals(truth(made))
    short = simulate(tmp_path / "short", **{**SMALL, "rows": 66_000})
    assert log(short).drop("timestamp").equals(whole[:66_000].drop("timestamp"))
    # The time, and what hangs on it, is spread over the rows, unless a day has its number of them.
    days = {**SMALL, "per_day": 5_000, "drift": 0.5}
    long, short = simulate(tmp_path / "long-days", **days), simulate(tmp_path / "days", **{**days, "rows": 66_000})
    assert log(short).equals(log(long)[:66_000])
    assert log(long)["timestamp"][5_000] - log(long)["timestamp"][0] == 86_400


def test_csv_holds_the_same_rows(made: Simulation, tmp_path: Path) -> None:
    text = simulate(tmp_path / "csv", **SMALL, format="csv")
    config = load_config(text.config)
    assert config.data.train[0].endswith("clicks-*.csv")
    ids = dict.fromkeys(("t1", "t2", "t3", "t4"), pl.String)
    frame = pl.concat([pl.read_csv(path, schema_overrides=ids) for path in text.shards])
    assert frame.with_columns(pl.col("click").cast(pl.UInt8)).equals(log(made))
    assert text.best == made.best


def test_ids_are_eight_hex_digits_and_as_many_as_asked(made: Simulation) -> None:
    frame = log(made)
    fields = {field["name"]: field["ids"] for field in made.state["fields"] if field["type"] == "token"}
    assert sum(fields.values()) == 300
    assert {name: frame[name].n_unique() for name in fields} == fields
    assert all(frame[name].str.contains("^[0-9a-f]{8}$").all() for name in fields)


def test_the_click_rate_is_as_asked(made: Simulation) -> None:
    assert log(made)["click"].mean() == pytest.approx(0.2, abs=0.005)


def test_the_printed_figures_are_those_of_the_truth_on_the_test_rows(made: Simulation) -> None:
    rows = rows_for_testing(80_000)
    frame = truth(made)
    assert frame["click"].equals(log(made)["click"])
    labels, best = frame["click"].to_numpy()[rows], frame["probability"].to_numpy()[rows].astype(np.float64)
    assert made.best["rows"] == 8_000
    assert made.best["auc"] == auc(labels, best)
    assert made.best["logloss"] == pytest.approx(logloss(labels, np.log(best / (1 - best))), abs=1e-9)
    # Over all clicks that could be drawn: here over many that are.
    random = np.random.default_rng(0)
    drawn = [auc(random.random(len(best)) < best, best) for _ in range(40)]
    assert made.best["expected_auc"] == pytest.approx(np.mean(drawn), abs=4 * np.std(drawn) / 40**0.5)
    assert made.best["expected_logloss"] == pytest.approx(made.best["logloss"], abs=0.02)
    assert made.state["best"]["click_rate"] == log(made)["click"].mean()


def test_nothing_beats_the_truth(made: Simulation) -> None:
    frame = truth(made)
    labels, best = frame["click"].to_numpy(), frame["probability"].to_numpy().astype(np.float64)
    logits = np.log(best / (1 - best))
    random = np.random.default_rng(0).normal(size=len(logits))
    least = logloss(labels, logits)
    assert least < logloss(labels, logits + 0.1 * random)
    assert auc(labels, logits) > auc(labels, logits + 0.3 * random)
    for scale, shift in ((1.1, 0), (0.9, 0), (1, 0.1), (1, -0.1)):
        assert least < logloss(labels, logits.mean() + scale * (logits - logits.mean()) + shift)


def test_with_drift_the_time_helps(tmp_path: Path) -> None:
    done = simulate(tmp_path / "log", **SMALL, drift=1.5)
    assert done.state["best"]["knowing_time"]["auc"] > done.best["auc"] + 0.02
    assert done.state["best"]["knowing_time"]["expected_logloss"] < done.best["expected_logloss"] - 0.01
    assert truth(done).columns == ["click", "probability", "probability_at_its_time"]


@pytest.mark.parametrize(
    "small",
    [{"fields": 1, "ids": 2, "order": 1}, {"fields": 1, "floats": 1, "order": 1}, {"fields": 4, "ids": 8, "order": 4}],
)
def test_the_smallest(tmp_path: Path, small: dict[str, int]) -> None:
    done = simulate(tmp_path / "log", rows=10, **small)
    assert done.best["rows"] == 1
    assert done.best["auc"] is None  # one row holds one class
    load_config(done.config)


# Interrupted, repeated, refused


def test_a_second_run_does_nothing(tmp_path: Path) -> None:
    few = {**SMALL, "rows": 1000}
    first = simulate(tmp_path / "log", **few)
    first.config.write_text("# edited\n" + first.config.read_text())
    before = {path: path.stat().st_mtime_ns for path in first.directory.rglob("*") if path.name != ".lock"}
    assert simulate(tmp_path / "log", **few).state == first.state
    assert {path: path.stat().st_mtime_ns for path in before} == before
    simulate(tmp_path / "log", **few, force=True)
    assert not first.config.read_text().startswith("# edited")


class Stops:
    """Progress that interrupts after some pieces."""

    def __init__(self, pieces: int) -> None:
        self._left = pieces

    def start(self, title: str, rows: int, done: int = 0) -> None:
        self.done = done

    def advance(self, rows: int) -> None:
        self._left -= 1
        if not self._left:
            raise KeyboardInterrupt

    def finish(self) -> None: ...


def test_an_interrupted_simulation_continues_at_the_last_finished_shard(made: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    with pytest.raises(KeyboardInterrupt):
        simulate(folder, **SMALL, progress=Stops(2))
    assert sorted(path.name for path in folder.glob("clicks*")) == ["clicks-00000.parquet"]
    assert not json.loads((folder / "simulation.json").read_text())["complete"]
    watch = Stops(0)
    (folder / "clicks-00000.parquet").touch()
    before = (folder / "clicks-00000.parquet").stat().st_mtime_ns
    simulate(folder, **SMALL, progress=watch)
    assert watch.done == 35_000
    assert (folder / "clicks-00000.parquet").stat().st_mtime_ns == before
    assert contents(folder) == contents(made.directory)


def test_a_killed_simulation_continues(made: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    code = f"from dagfm.data.simulate import simulate; simulate({str(folder)!r}, **{SMALL!r})"
    child = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    while not list(folder.glob("clicks*")) and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    simulate(folder, **SMALL)
    assert contents(folder) == contents(made.directory)


def test_a_lost_shard_is_written_again(made: Simulation, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    done = simulate(folder, **SMALL)
    done.shards[1].unlink()
    simulate(folder, **SMALL)
    assert contents(folder) == contents(made.directory)


def _foreign(folder: Path) -> None:
    folder.mkdir()
    (folder / "clicks-2024.csv").write_text("mine")


def _file(folder: Path) -> None:
    folder.write_text("mine")


def _other(folder: Path) -> None:
    simulate(folder, rows=10, fields=2, ids=4, order=2)


def _older(folder: Path) -> None:
    state = simulate(folder, rows=20, fields=2, ids=4, order=2).state
    (folder / "simulation.json").write_text(json.dumps({**state, "format": 0}))


@pytest.mark.parametrize(
    ("before", "message", "forced"),
    [
        (_foreign, "not empty and not a simulation; choose another folder", False),
        (_file, "is a file, expected a folder", False),
        (_other, r"other options \(rows was 10, now 20\); choose another folder, or replace it with --force", True),
        (_older, r"other options \(format of the folder was 0, now 1\); choose another folder", True),
    ],
)
def test_a_folder_that_holds_something_else(
    tmp_path: Path, before: Callable[[Path], None], message: str, forced: bool
) -> None:
    folder = tmp_path / "log"
    before(folder)
    held = contents(folder) if folder.is_dir() else folder.read_bytes()
    options: dict[str, Any] = {"rows": 20, "fields": 2, "ids": 4, "order": 2}
    with pytest.raises(InputError, match=f"--output: .*log.*{message}"):
        simulate(folder, **options)
    assert (contents(folder) if folder.is_dir() else folder.read_bytes()) == held
    if forced:
        assert len(log(simulate(folder, **options, force=True))) == 20
    else:
        with pytest.raises(InputError, match=message):
            simulate(folder, **options, force=True)
        assert (contents(folder) if folder.is_dir() else folder.read_bytes()) == held
