from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from clicks import FIELDS, click_log
from typer.testing import CliRunner

from dagfm.cli.app import app
from dagfm.cli.options import parse_size
from dagfm.errors import InputError


def dagfm(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments))
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def config(folder: Path) -> Path:
    click_log().write_parquet(folder / "log.parquet")
    fields = [*FIELDS, {"name": "hashed", "column": "user", "hash": 20, "side": "context"}]
    value = {"data": {"train": "log.parquet", "label": "click"}, "fields": fields}
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(value))
    return folder / "dagfm.yaml"


def test_it_tells_what_it_made(config: Path) -> None:
    code, out, err = dagfm("data", "prepare", "dagfm.yaml")
    assert code == 0
    assert "1,600" in out and "prepared: " in out and " of 50 values (" in out and "share their row with another" in out
    assert "2,000 rows x 6 columns: about 0 s" in err
    again = dagfm("data", "prepare", "dagfm.yaml")
    assert again[0] == 0 and again[1] == out and "is there" in again[2]


def test_json(config: Path) -> None:
    code, out, _ = dagfm("--quiet", "data", "prepare", "dagfm.yaml", "--memory", "200MB", "--json")
    told = json.loads(out)
    assert code == 0 and told["rows"] == {"train": 1600, "valid": 200, "test": 200}
    assert 0 < told["click_rate"]["train"] < 1
    assert told["fields"][0]["name"] == "user"
    assert told["collisions"][0]["distinct"] == 50 and told["unmatched"] == {}
    assert (Path(told["directory"]) / "manifest.json").exists()


def test_clean_lists_and_removes(config: Path) -> None:
    click_log().select("user", "click").write_csv("log.csv")
    fields = "fields=[{name: user}]"
    assert dagfm("data", "prepare", "dagfm.yaml", "--set", "data.train=log.csv", "--set", fields)[0] == 0
    made = [json.loads(dagfm("-q", "data", "prepare", "dagfm.yaml", "--json")[1])["fingerprint"]]
    code, out, _ = dagfm("data", "clean")
    assert code == 0 and out.count("prepared data") == 2 and out.count("text as Parquet") == 1
    assert dagfm("data", "clean", "--remove", "zz")[0] == 2
    code, out, err = dagfm("data", "clean", "--remove", made[0][:8], "--json")
    assert code == 0 and f"removed {made[0]}" in err and made[0] not in out and len(json.loads(out)) == 2
    assert json.loads(dagfm("data", "clean", "--all", "--json")[1]) == []


def test_what_does_not_fit_is_refused_before_work_starts(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagfm.data.forecast.shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    code, _, err = dagfm("data", "prepare", "dagfm.yaml")
    assert code == 2 and "takes about" in err and "1 kB are free" in err
    monkeypatch.undo()
    code, _, err = dagfm("data", "prepare", str(config), "--set", "embedding.size=10_000_000_000")
    assert code == 2 and "the embedding table and its optimizer would take about" in err and "'min_count'" in err


def test_sizes() -> None:
    assert [parse_size(text) for text in ("1.5GB", "800 mb", "2GiB", "200_000_000")] == [
        1_500_000_000,
        800_000_000,
        2 * 2**30,
        200_000_000,
    ]
    for text, message in (("much", "expected a size such as 800MB"), ("10MB", "expected 100MB or more")):
        with pytest.raises(InputError, match=message):
            parse_size(text)
