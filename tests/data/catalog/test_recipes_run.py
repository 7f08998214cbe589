"""Every recipe runs: made-up files in the published layouts, ``dagfm data recipe``, ``prepare`` and a tiny ``fit``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from published import avazu_text, criteo, criteo_text, criteo_x1, frappe_text, libfm_text, ml_1m, with_header, write
from typer.testing import CliRunner

from dagfm.cli.app import app
from dagfm.config import load_config
from dagfm.data.catalog.criteo import X1, X4

# Until `dagfm data prepare` and the keys that say how text is read are there; then this goes.

Make = Callable[[Path], str]
PARTS = (("train", 400), ("valid", 100), ("test", 100))
TINY = [f"training.{phase}.epochs=1" for phase in ("teacher_training", "distillation", "finetuning")]


def _three(names: str, text: Callable[[int, int], str]) -> Make:
    def make(folder: Path) -> str:
        for seed, (part, rows) in enumerate(PARTS):
            write(folder / names.format(part), text(rows, seed))
        return names.format("train")

    return make


def _one(name: str, text: Callable[[int], str]) -> Make:
    def make(folder: Path) -> str:
        return write(folder / name, text(600)).name

    return make


def _ml_1m(folder: Path) -> str:
    return ml_1m(folder, 600).name


def _ml_100k(folder: Path) -> str:
    rated = [f"{row % 30}\t{row % 41}\t{1 + row % 5}\t{row}" for row in range(600)]
    lines = {
        "inter": ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *rated],
        "user": [
            "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token",
            *(f"{user}\t{20 + user % 9}\tM\tartist\t{user:05d}" for user in range(30)),
        ],
        "item": [
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq",
            *(f"{item}\tA film\t{1950 + item}\tDrama War" for item in range(41)),
        ],
    }
    for suffix, text in lines.items():
        write(folder / f"ml-100k.{suffix}", "\n".join(text) + "\n")
    return "ml-100k.inter"


CASES: list[tuple[str, Make, int]] = [
    ("ml-100k", _ml_100k, 600),
    ("ml-1m", _ml_1m, 600),
    ("criteo-x4", _one("train.txt", criteo_text), 600),
    ("criteo-x4", _one("train.txt.gz", criteo_text), 600),
    ("criteo-x4", _three("{}.csv", lambda rows, seed: with_header(X4.columns, criteo(rows, seed))), 600),
    ("criteo-x1", _three("{}.csv", lambda rows, seed: with_header(X1.columns, criteo_x1(rows, seed))), 600),
    ("avazu-x4", _one("train", avazu_text), 600),
    ("avazu-x4", _one("train.csv", avazu_text), 600),
    ("frappe-x1", _three("{}.csv", frappe_text), 600),
    ("frappe-x1", _three("{}.libsvm", libfm_text), 600),
]


@pytest.mark.parametrize(("name", "make", "rows"), CASES, ids=[f"{name}-{n}" for n, (name, _, _) in enumerate(CASES)])
def test_recipe_prepare_fit(folder: Path, name: str, make: Make, rows: int) -> None:
    file = make(folder)
    for words in (
        ["data", "recipe", name, "--from", file, "--allow-partial", "-o", "c.yaml"],
        ["data", "prepare", "c.yaml"],
        ["fit", "c.yaml", "-o", "run", *(word for key in TINY for word in ("--set", key)), "--set", "embedding.size=4"],
    ):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, f"{words}: {done.output}{done.exception!r}"
    assert load_config("c.yaml").fields
    results = json.loads(Path("run/results.json").read_text())
    kept = sum(results["rows"].values())
    assert kept == rows if name != "ml-1m" else 0 < kept < rows  # ratings of 3 are dropped
