"""``dagfm data list``, ``get`` and ``recipe``: what they print, what they write, what they refuse."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
import yaml
from published import avazu_text, criteo_text, ml_1m, write
from typer.testing import CliRunner

from dagfm.cli.app import app


def run(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["data", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_list_shows_every_data_set() -> None:
    code, out, err = run("list")
    assert (code, err) == (0, "")
    for words in ("ml-100k", "45,840,617", "001, 002", "dagfm data get ml-100k", "Frappe_x1"):
        assert words in out


def test_list_as_json() -> None:
    code, out, _ = run("list", "--json")
    told = {one["name"]: one for one in json.loads(out)}
    assert code == 0
    assert told["criteo-x4"]["rows"] == 45_840_617
    assert told["criteo-x4"]["variants"]["002"]["embedding_size"] == 40
    assert told["ml-100k"]["fetched_from"] == "recbole==1.2.1"
    assert told["avazu-x4"]["fetched_from"] is None


def test_get_of_what_cannot_be_fetched_says_what_to_do_and_fails() -> None:
    code, out, err = run("get", "avazu-x4")
    assert (code, out) == (1, "")
    assert err.startswith("error: no package registry has avazu-x4; get it by hand:\n1. ")
    assert "https://www.kaggle.com/c/avazu-ctr-prediction" in err


@pytest.mark.parametrize("verb", [["get", "criteo_x5"], ["recipe", "criteo_x5", "--from", "f"]])
def test_an_unknown_name_is_refused(verb: list[str]) -> None:
    code, _, err = run(*verb)
    assert code == 2
    assert "no data set 'criteo_x5' in the catalog; valid: ml-100k" in err
    assert "Did you mean 'criteo-x" in err


def test_recipe_writes_the_configuration_and_prints_its_path(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(30))
    code, out, err = run("recipe", "criteo-x4", "--from", "train.txt", "--allow-partial", "-o", "c.yaml")
    assert (code, out) == (0, "c.yaml\n")
    assert "not the whole data set" in err
    assert "then run: dagfm data prepare c.yaml; dagfm fit c.yaml" in err
    assert yaml.safe_load(Path("c.yaml").read_text())["data"]["train"] == "train.txt"


def test_recipe_refuses_to_overwrite(folder: Path) -> None:
    write(folder / "train.txt", criteo_text(30))
    Path("criteo-x4.yaml").write_text("mine")
    code, _, err = run("recipe", "criteo-x4", "--from", "train.txt", "--no-count")
    assert code == 2
    assert "criteo-x4.yaml: exists already" in err
    assert Path("criteo-x4.yaml").read_text() == "mine"
    assert run("recipe", "criteo-x4", "--from", "train.txt", "--no-count", "--force")[0] == 0


def test_recipe_refuses_another_file_and_writes_nothing(folder: Path) -> None:
    write(folder / "train.txt", avazu_text(30))
    code, out, err = run("recipe", "criteo-x4", "--from", "train.txt")
    assert (code, out) == (2, "")
    assert "this looks like Avazu's training file" in err
    assert run("recipe", "criteo-x4", "--from", "gone.txt")[2] == "error: gone.txt: no such file\n"
    assert [path.name for path in folder.iterdir()] == ["train.txt"]


def test_recipe_writes_the_side_table_beside_the_configuration(folder: Path) -> None:
    (folder / "in").mkdir()
    ml_1m(folder / "in", 90)
    code, _, _ = run("recipe", "ml-1m", "--from", "in", "--allow-partial", "-o", "out/c.yaml")
    assert code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["c-movies.parquet", "c.yaml"]
    assert pl.read_parquet("out/c-movies.parquet").columns == ["movie_id", "year", "genres"]


@pytest.mark.parametrize("arguments", [["data", "--help"], ["data", "recipe", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    code = f"import sys; sys.argv = ['dagfm', *{arguments!r}]\nfrom dagfm.cli import main\ntry:\n    main()\nfinally:\n"
    code += "    print('loaded:', *({'torch', 'polars', 'numpy'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "loaded:"
