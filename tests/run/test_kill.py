"""Interrupted or killed at random moments and resumed, a run ends in the same bundle, byte for byte."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from clicks import click_log, small_config


def _start(home: Path, run: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dagfm", "fit", "dagfm.yaml", "-o", str(run), "--baseline", "scratch"],
        cwd=home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _wait_until_it_speaks(process: subprocess.Popen[bytes]) -> bytes:
    assert process.stderr is not None
    return process.stderr.readline()


def _finish(home: Path, run: Path) -> bytes:
    """Run to the end; returns what was said."""
    process = _start(home, run)
    _, told = process.communicate()
    assert process.returncode == 0, told.decode()
    return told


def _metrics(run: Path) -> list[Any]:
    return [
        (line["name"], line["phase"], line["metrics"])
        for line in json.loads((run / "results.json").read_text())["models"]
    ]


def _weights(run: Path) -> dict[str, bytes]:
    return {str(path.parent.relative_to(run)): path.read_bytes() for path in run.rglob("weights.safetensors")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log and a configuration that trains for a second or two."""
    folder = tmp_path_factory.mktemp("kill")
    click_log(3000).write_parquet(folder / "clicks.parquet")
    config = small_config(Path("clicks.parquet"))
    config["training"]["batch_size"] = 64
    for phase in ("teacher_training", "distillation", "finetuning", "scratch"):
        config["training"][phase]["epochs"] = 4
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(config))
    return folder


@pytest.fixture(scope="module")
def uninterrupted(home: Path) -> tuple[Path, float]:
    """A run that nobody disturbed, and the seconds it took from its first word to its end."""
    process = _start(home, home / "whole")
    _wait_until_it_speaks(process)
    started = time.monotonic()
    _, told = process.communicate()
    assert process.returncode == 0, told.decode()
    return home / "whole", time.monotonic() - started


def _kill_until_done(home: Path, run: Path, seconds: list[float]) -> int:
    """Start, kill after so many seconds, start again, and finish at last; returns how often the kill came in time."""
    killed = 0
    for delay in seconds:
        process = _start(home, run)
        _wait_until_it_speaks(process)
        time.sleep(delay)
        process.kill()
        process.communicate()
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL
        killed += 1
    _finish(home, run)
    return killed


def _assert_same(run: Path, whole: Path) -> None:
    assert (run / "bundle" / "weights.safetensors").read_bytes() == (
        whole / "bundle" / "weights.safetensors"
    ).read_bytes()
    assert _weights(run) == _weights(whole)
    assert _metrics(run) == _metrics(whole)
    left = {path.name for path in run.rglob("*") if path.name.startswith((".", "checkpoint"))}
    assert left == {".lock"}


def test_ctrl_c_and_three_kills_change_nothing(home: Path, uninterrupted: tuple[Path, float]) -> None:
    whole, seconds = uninterrupted
    moments, run = random.Random(4), home / "killed"
    process = _start(home, run)
    assert process.stderr is not None
    while b"epoch 1/4" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130
    assert told.decode().splitlines()[-1] == "interrupted; run the same command again to resume"
    assert b"Traceback" not in told
    _kill_until_done(home, run, [moments.uniform(0.05, 0.3) * seconds for _ in range(3)])
    _assert_same(run, whole)


@pytest.mark.slow
def test_twenty_kills_change_nothing(home: Path, uninterrupted: tuple[Path, float]) -> None:
    whole, seconds = uninterrupted
    moments = random.Random(20)
    killed = count = 0
    while killed < 20:
        run = home / f"killed-{count}"
        count += 1
        killed += _kill_until_done(home, run, [moments.uniform(0.0, 0.5) * seconds for _ in range(20 - killed)])
        _assert_same(run, whole)
