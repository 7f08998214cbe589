"""The folder in which the documentation's examples run: a click log, its configuration and a finished run."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from published import criteo_text, ml_1m, write
from typer.testing import CliRunner

from dagfm.cli.app import app

Shell = Callable[[str], None]

CONFIG = {
    "data": {"train": "clicks.parquet", "label": "click"},
    "fields": [
        {"name": "user_id", "side": "context"},
        {"name": "device", "side": "context"},
        {"name": "item_id", "side": "candidate"},
        {"name": "genres", "type": "token_seq", "separator": "|", "side": "candidate"},
        {"name": "price", "type": "float", "side": "candidate"},
    ],
    "embedding": {"size": 4},
    "training": {
        "batch_size": 256,
        **{name: {"epochs": 1} for name in ("teacher_training", "distillation", "finetuning")},
        "scratch": {"epochs": 1, "decay": 0.001, "dropout": 0.1},
    },
}


def clicks(rows: int, seed: int) -> pl.DataFrame:
    """A click log with every kind of value that the pages speak of."""
    random = np.random.default_rng(seed)
    items = random.integers(0, 30, rows)
    price = random.lognormal(size=rows).round(2)
    return pl.DataFrame(
        {
            "user_id": random.integers(1, 60, rows),
            "device": random.choice(["phone", "desktop", "tablet"], rows),
            "item_id": items,
            "genres": ["|".join(["Drama", "Comedy", "War"][: 1 + item % 3]) for item in items],
            "price": [None if index % 17 == 0 else value for index, value in enumerate(price)],
            "click": (random.random(rows) < 0.2 + 0.4 * (items % 2)).astype(int),
        }
    )


def atomic(frame: pl.DataFrame, path: Path, *headers: str) -> None:
    """Some columns of a table as a RecBole atomic file."""
    named = {header.partition(":")[0]: header for header in headers}
    path.write_text(frame.select(list(named)).unique(maintain_order=True).rename(named).write_csv(separator="\t"))


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder called demo, so that ``dagfm fit dagfm.yaml`` leaves its run in ``runs/demo``."""
    folder = tmp_path_factory.mktemp("docs") / "demo"
    (folder / "ml-100k").mkdir(parents=True)
    log = clicks(1500, seed=0)
    log.write_parquet(folder / "clicks.parquet")
    clicks(300, seed=1).write_parquet(folder / "test.parquet")
    clicks(20, seed=2).drop("click").write_csv(folder / "tomorrow.csv")
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(CONFIG, sort_keys=False))
    ages = pl.DataFrame({"user_id": range(1, 61), "age": [20 + user % 50 for user in range(60)]})
    ages.write_csv(folder / "users.csv")
    rated = log.with_columns(rating=1 + (pl.col("item_id") + pl.col("user_id")) % 5)
    atomic(rated, folder / "ml-100k" / "ml-100k.inter", "user_id:token", "item_id:token", "rating:float")
    atomic(ages, folder / "ml-100k" / "ml-100k.user", "user_id:token", "age:token")
    kinds = log.with_columns(pl.col("genres").str.replace_all("|", " ", literal=True).alias("class"))
    atomic(kinds, folder / "ml-100k" / "ml-100k.item", "item_id:token", "class:token_seq")
    for name in ("criteo", "ml-1m"):
        (folder / name).mkdir()
    write(folder / "criteo" / "train.txt", criteo_text(300))
    ml_1m(folder / "ml-1m", 500)
    return folder


@pytest.fixture(scope="session")
def shell(workplace: Path) -> Shell:
    """Runs a script in the folder, line by line; ``dagfm`` in this process, which has paid for importing torch."""

    def run(script: str) -> None:
        for line in script.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            with contextlib.chdir(workplace):
                if words and words[0] == "dagfm":
                    command(words[1:])
                elif words:
                    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
                    subprocess.run(["bash", "-c", line], env={**os.environ, "PATH": path}, check=True)

    return run


def command(words: list[str]) -> None:
    """Run dagfm with these words; ``> FILE`` at their end takes what it prints."""
    words, output = (words[:-2], Path(words[-1])) if words[-2:-1] == [">"] else (words, None)
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, (
        f"dagfm {shlex.join(words)}\nleft with {done.exit_code}: {done.output}{done.exception!r}"
    )
    if output is not None:
        output.write_text(done.stdout)


@pytest.fixture(scope="session")
def run_directory(workplace: Path, shell: Shell) -> Path:
    """The finished run that the pages call ``runs/demo``."""
    shell("dagfm fit dagfm.yaml")
    return workplace / "runs" / "demo"
