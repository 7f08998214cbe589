"""``dagfm data describe``: what it prints, in which widths, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner

from dagfm.cli import tables
from dagfm.cli.app import app

KEYS = {
    "format", "source", "configured", "rows", "split", "label", "weight", "unmatched", "fields", "pairs",
    "not_described", "time", "sampled", "findings",
}  # fmt: skip
FIELD_KEYS = {
    "name", "column", "cross", "type", "encode", "stored", "left_out", "distinct", "missing", "unseen", "unknown",
    "top", "unique", "constant", "numbers", "lengths", "alone", "repetition", "drift", "spelling",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    click = random.integers(0, 2, 900)
    frame = pl.DataFrame(
        {
            "click": click,
            "user_id": random.integers(0, 40, 900),
            "item_id": random.integers(0, 70, 900),
            "price": random.normal(size=900),
            "told": click * 3 + random.random(900),
        }
    )
    frame.write_parquet("log.parquet")
    frame.write_csv("log.csv")
    config = {"data": {"train": "log.csv", "label": "click"}, "fields": [{"name": "user_id"}, {"name": "item_id"}]}
    Path("dagfm.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def _run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", "describe", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_a_file(folder: Path) -> None:
    code, out, _ = _run("log.parquet", "--label", "click")
    assert code == 0
    assert "900 rows" in out and "train 720, valid 90, test 90" in out
    assert "user_id x item_id" in out
    assert "! told alone predicts the label" in out
    assert not Path(".dagfm").exists()


def test_text_gives_the_same_figures(folder: Path) -> None:
    told = [json.loads(_run(name, "--json")[1]) for name in ("log.parquet", "log.csv")]
    for one, other in zip(*(each["fields"] for each in told), strict=True):
        # Which of equally frequent values come first is decided by hashes, too.
        for key in FIELD_KEYS - {"stored", "top", "drift"}:
            assert _rounded(one[key]) == _rounded(other[key]), key
    assert _rounded(told[0]["pairs"]) == _rounded(told[1]["pairs"])


def _rounded(value: Any) -> Any:
    """Sums of floats depend on their order, which the hashes of text and numbers decide."""
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_rounded(each) for each in value]
    return round(value, 9) if isinstance(value, float) else value


def test_a_headerless_file(folder: Path) -> None:
    lines = Path("log.csv").read_text().splitlines()
    Path("log.txt").write_text("\n".join(line.replace(",", "::") for line in lines[1:]) + "\n")
    code, out, _ = _run("log.txt", "--separator", "::", "--columns", lines[0])
    assert code == 0 and "user_id x item_id" in out


def test_a_configuration_as_json_has_all_keys(folder: Path) -> None:
    code, out, _ = _run("dagfm.yaml", "--json", "--set", "data.split.seed=1")
    told = json.loads(out)
    assert code == 0 and set(told) == KEYS
    assert [set(one) for one in told["fields"]] == [FIELD_KEYS] * 2
    assert set(told["pairs"][0]) == {"fields", "distinct", "repetition", "seen"}
    assert all(set(one) == {"kind", "fields", "text"} for one in told["findings"])


def test_markdown(folder: Path) -> None:
    code, out, _ = _run("dagfm.yaml", "--markdown")
    assert code == 0 and "| field | type |" in out


@pytest.mark.parametrize(("width", "seen"), [(60, "missing"), (80, "unseen in test"), (120, "drift"), (200, "numbers")])
def test_tables_fit_the_terminal(folder: Path, monkeypatch: pytest.MonkeyPatch, width: int, seen: str) -> None:
    monkeypatch.setattr(tables, "_console", lambda: Console(width=width, highlight=False))
    code, out, _ = _run("log.parquet")
    lines = out.splitlines()
    assert code == 0
    header = next(line for line in lines if line.strip().startswith("field"))
    assert seen in header and "…" not in header
    assert all(len(line) <= width for line in lines[lines.index(header) :] if not line.startswith("!"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere.parquet",), "nowhere.parquet: no such file"),
        (("log.parquet", "--label", "clik"), "Did you mean 'click'?"),
        (("log.parquet", "--json", "--markdown"), "not both"),
        (("dagfm.yaml", "--format", "csv"), "--format: for data files"),
        (("dagfm.yaml", "--label", "click"), "--set data.label=COLUMN"),
        (("log.parquet", "--set", "data.label=click"), "--set is for configurations"),
        (("dagfm.yaml", "--set", "fields=[{name: usr_id}]"), "Did you mean 'user_id'?"),
    ],
)
def test_what_it_refuses(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = _run(*arguments)
    assert (code, out) == (2, "")
    assert message in " ".join(err.split())
