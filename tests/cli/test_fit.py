"""``dagfm fit`` on the command line: what it prints, and what it refuses with nothing half-written."""

from __future__ import annotations

import errno
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from clicks import Finished, click_log, small_config
from filelock import FileLock
from typer.testing import CliRunner

from dagfm import files
from dagfm.cli.app import app


def fit(*arguments: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["fit", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def config(folder: Path) -> dict[str, Any]:
    """A configuration beside its log ``clicks.parquet``, in the working directory; ``write`` it as dagfm.yaml."""
    click_log(400).write_parquet("clicks.parquet")
    return small_config(Path("clicks.parquet"))


def write(config: dict[str, Any]) -> None:
    Path("dagfm.yaml").write_text(yaml.safe_dump(config))


# What it prints ----------------------------------------------------------------------------------------------------


def test_json_is_the_results_and_nothing_else(finished: Finished) -> None:
    before = (finished.run / "results.json").read_text()
    code, out, err = fit(
        str(finished.folder / "dagfm.yaml"),
        "-o",
        str(finished.run),
        "--json",
        "--baseline",
        "scratch",
        "--baseline",
        "fm",
    )
    assert code == 0
    assert json.loads(out) == json.loads(before)
    assert "is there" in err


def test_the_table_shows_every_model_and_what_is_served(finished: Finished) -> None:
    code, out, _ = fit(
        str(finished.folder / "dagfm.yaml"), "-o", str(finished.run), "--baseline", "scratch", "--baseline", "fm"
    )
    assert code == 0
    for line in finished.results["models"]:
        assert f"{line['name']} ({line['network']})" in out
        assert f"{line['metrics']['test']['auc']:.5f}" in out
        assert f"{line['parameters']:,}" in out
    assert "student - teacher: AUC " in out
    assert "student - scratch: AUC " in out
    served = finished.served
    assert f"* served: student after {served['phase']}, seed 2022: {finished.bundle}" in out


def test_progress_is_on_stderr_and_quiet_silences_it(config: dict[str, Any]) -> None:
    write(config)
    code, out, err = fit("dagfm.yaml", "--json")
    assert (code, json.loads(out)["run"]) == (0, f"runs/{Path.cwd().name}")
    for told in ("teacher_training of teacher", "distillation of student", "epoch 2/2", "rows/s"):
        assert told in err
    result = CliRunner().invoke(app, ["--quiet", "fit", "dagfm.yaml", "-o", "quiet", "--json"])
    assert (result.exit_code, result.stderr) == (0, "")


def test_set_and_preset_reach_the_run(config: dict[str, Any]) -> None:
    del config["student"], config["training"], config["embedding"]
    write(config)
    brief = [f"--set=training.{phase}.epochs=1" for phase in ("teacher_training", "distillation", "finetuning")]
    code, _, err = fit("dagfm.yaml", "--preset", "paper", *brief, "--set", "training.seed=7", "-o", "run")
    assert code == 0
    assert "training.distillation.epochs overrides preset 'paper'" in err
    written = yaml.safe_load(Path("run/config.yaml").read_text())
    assert (written["preset"], written["training"]["seed"], written["student"][0]["type"]) == ("paper", 7, "outer")
    assert written["training"]["distillation"]["epochs"] == 1


def test_phases_alone_on_the_command_line(config: dict[str, Any]) -> None:
    write(config)
    assert fit("dagfm.yaml", "--phase", "teacher_training", "-o", "one")[0] == 0
    assert fit("dagfm.yaml", "--phase", "distillation", "--warm-up", "one", "-o", "two")[0] == 0
    code, out, _ = fit("dagfm.yaml", "--phase", "finetuning", "--warm-up", "two", "-o", "three", "--json")
    assert code == 0
    assert json.loads(out)["served"] is not None
    written = yaml.safe_load(Path("three/config.yaml").read_text())
    assert written["warm_up"] == str(Path("two").resolve())


# What it refuses ---------------------------------------------------------------------------------------------------


def _nothing_trained() -> bool:
    """Whether no run, no bundle, and no prepared data but locks were left."""
    left = [
        path
        for path in Path.cwd().rglob("*")
        if path.is_file() and path.suffix not in (".lock", ".yaml", ".parquet") and "converted" not in path.parts
    ]
    return not [path for path in left if path.name in ("weights.safetensors", "results.json", "manifest.json")]


def _refused(config: dict[str, Any], *told: str, arguments: tuple[str, ...] = ()) -> str:
    write(config)
    code, out, err = fit("dagfm.yaml", *arguments)
    assert (code, out) == (2, "")
    message = err.splitlines()[-1]
    for part in told:
        assert part in err, err
    assert "error: " in err
    assert _nothing_trained()
    return message


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("trainning", {}, ["unknown key 'trainning'", "Did you mean 'training'?", "Valid here: data, "]),
        ("teacher", {"network": "crosnet"}, ["unknown network 'crosnet'", "valid: ", "Did you mean 'crossnet'?"]),
        ("student", {"network": "mlp"}, ["student", "mlp", "dagfm"]),
        ("student", {"type": "innner"}, ["student.0.type: 'innner'", "valid: inner, outer, kernel", "'inner'?"]),
        ("student", {"name": ".."}, ["student.0.name"]),
        ("student", [{"name": "a"}, {"name": "a"}], ["student: two members are called 'a'"]),
        ("teacher", [{"name": "ensemble"}, {}], ["teacher: 'ensemble' is what the mean of several teachers is called"]),
        ("phase", "distilation", ["phase: 'distilation'", "teacher_training, distillation, finetuning"]),
        ("phase", "distillation", ["phase 'distillation' starts from earlier weights: set 'warm_up'"]),
        ("warm_up", "runs/x", ["'warm_up' goes with 'phase'"]),
        ("fields", [], ["'fields' is empty"]),
        ("fields", [{"name": "user", "type": "tokken"}], ["'tokken' is not valid; valid: token, token_seq, float"]),
        ("fields", [{"name": "user"}, {"name": "user"}], ["field 'user' is listed twice"]),
        ("fields", [{"name": "click"}], ["'click' is the label"]),
        ("fields", [{"name": "userr"}], ["column 'userr'", "clicks.parquet has ", "Did you mean 'user'?"]),
    ],
)
def test_a_wrong_configuration(config: dict[str, Any], key: str, value: Any, told: list[str]) -> None:
    _refused(config | {key: value}, "dagfm.yaml" if "column" not in told[0] else "clicks.parquet", *told)


def test_a_monitor_that_needs_a_teacher_where_there_is_none(config: dict[str, Any]) -> None:
    config["training"]["finetuning"]["monitor"] = "logit_mse"
    config |= {"phase": "finetuning", "warm_up": "runs/x", "finetuning": {"kd_weight": 0.0}}
    _refused(config, "training.finetuning.monitor: 'logit_mse' needs a teacher", "valid here: auc, logloss")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--set", "training.sed=1"), "unknown key 'training.sed'. Did you mean 'seed'?"),
        (("--set", "training.seed"), "--set training.seed: expected key=value"),
        (("--preset", "papper"), "preset: 'papper' is not valid; valid: default, paper. Did you mean 'paper'?"),
        (("--baseline", "scrach"), "unknown baseline; valid: scratch, fm. Did you mean 'scratch'?"),
        (("--phase", "finetunning"), "valid: teacher_training, distillation, finetuning. Did you mean 'finetuning'?"),
        (("--phase", "distillation", "--warm-up", "nowhere"), "nowhere: no such run or phase directory"),
        (("--seeds", "0"), "seeds is 0, expected 1 or more"),
        (("--set", "training.device=cuda"), "training.device: 'cuda' is not available on this machine"),
    ],
)
def test_wrong_options(config: dict[str, Any], arguments: tuple[str, ...], told: str) -> None:
    import torch

    if told.startswith("training.device") and torch.cuda.is_available():
        return
    _refused(config, told, arguments=arguments)


def test_a_configuration_that_is_not_there(folder: Path) -> None:
    code, _, err = fit("absent.yaml")
    assert code == 2
    assert err == "error: absent.yaml: no such configuration; 'dagfm init FILE' writes one\n"


CSV = "user,item,price,click\n" + "".join(f"u{index % 3},{index % 5},{index / 7},{index % 2}\n" for index in range(60))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "log.csv: the file is empty"),
        ("user,item,price,click\n", "log.csv: the table has no rows; its columns: user, item, price, click"),
        ("user,item,user,click\n1,2,3,1\n", "log.csv: column 'user' occurs twice in the header"),
        (CSV.replace("click", "clicked", 1), "Did you mean 'clicked'?"),
        (CSV.replace(",1\n", ",2\n"), "label 'click' holds 0, 2; expected 0 and 1"),
        (CSV.replace(",1\n", ",0\n"), "all 60 rows are 0, expected both 0 and 1"),
        (CSV.replace("u1,1,", "u1,1,cheap", 1), "log.csv: row 2: column 'price' holds 'cheap"),
        (CSV.replace(",1\n", ",\n", 1), "log.csv: row 2: label 'click' is empty"),
        (CSV + "1,2,3\n", "log.csv: line 62 has 3 cells, the header has 4 columns"),
        (CSV[: CSV.index("\n") + 1] + "u1,1,1.0,1\nu2,2,2.0,0\n", "split: the "),
    ],
)
def test_a_wrong_log(config: dict[str, Any], text: str, told: str) -> None:
    Path("log.csv").write_text(text)
    config["data"]["train"] = "log.csv"
    config["fields"] = [{"name": "user"}, {"name": "item"}, {"name": "price", "type": "float"}]
    _refused(config, told)


def test_a_part_with_one_class(config: dict[str, Any]) -> None:
    frame = click_log(400)
    frame.filter(pl.col("click") == 0).write_parquet("negative.parquet")
    frame.write_parquet("test.parquet")
    config["data"] |= {"valid": "negative.parquet", "test": "test.parquet"}
    _refused(config, "negative.parquet", "expected both 0 and 1")


def test_a_split_without_a_test_part(config: dict[str, Any]) -> None:
    config["data"]["split"] = {"ratios": [0.9, 0.1, 0.0]}
    _refused(config, "split: the test part is empty: a share of 0 of 400 rows")


def test_a_side_table_with_a_key_twice(config: dict[str, Any]) -> None:
    Path("items.csv").write_text("item,color\n1,red\n2,blue\n1,green\n")
    config["data"]["tables"] = {"item": "items.csv"}
    config["fields"].append({"name": "color", "side": "candidate"})
    _refused(config, "items.csv: key 'item' '1' occurs twice, expected once")


@pytest.mark.parametrize("text", ["{}", "[]"])
@pytest.mark.parametrize("name", ["thesis.docx", "results.json", "environment.json"])
def test_an_output_directory_that_holds_something_else(config: dict[str, Any], name: str, text: str) -> None:
    write(config)
    Path("mine").mkdir()
    (Path("mine") / name).write_text(text)
    code, out, err = fit("dagfm.yaml", "-o", "mine")
    assert (code, out) == (2, "")
    assert "mine: holds something that is not a dagfm run" in err
    assert name in err
    assert "-o" in err
    assert [path.name for path in Path("mine").iterdir()] == [name]
    assert (Path("mine") / name).read_text() == text


def test_an_output_directory_that_is_a_file(config: dict[str, Any]) -> None:
    write(config)
    Path("mine").write_text("mine")
    code, _, err = fit("dagfm.yaml", "-o", "mine")
    assert (code, err) == (2, "error: mine: is a file, expected a directory for the run\n")
    code, _, err = fit("dagfm.yaml", "-o", "mine/run")
    assert code in (1, 2)
    assert "mine" in err


def test_a_run_that_another_process_is_writing(config: dict[str, Any]) -> None:
    write(config)
    Path("run").mkdir()
    with FileLock("run/.lock"):
        code, out, err = fit("dagfm.yaml", "-o", "run")
        assert (code, out) == (2, "")
        assert "run: another process is writing this run; wait for it or choose -o" in err
        assert [path.name for path in Path("run").iterdir()] == [".lock"]
    assert fit("dagfm.yaml", "-o", "run")[0] == 0


def test_what_a_killed_process_left_behind_is_no_obstacle(config: dict[str, Any]) -> None:
    write(config)
    Path("run").mkdir()
    (Path("run") / ".environment.json.123.tmp").write_text('{"kind"')
    assert fit("dagfm.yaml", "-o", "run")[0] == 0
    (Path("run/finetuning/student") / ".weights.safetensors.123.tmp").write_bytes(b"half")
    assert fit("dagfm.yaml", "-o", "run")[0] == 0
    assert not list(Path("run").rglob("*.tmp"))


@pytest.mark.parametrize("name", ["train/labels.npy", "counts.npy", "encoder.json", "vocabulary/000.parquet"])
@pytest.mark.parametrize("damage", [lambda data: data[:-2], lambda data: data[:-1] + bytes([data[-1] ^ 1])])
def test_damaged_prepared_data(config: dict[str, Any], name: str, damage: Callable[[bytes], bytes]) -> None:
    write(config)
    assert fit("dagfm.yaml", "--phase", "teacher_training", "-o", "run")[0] == 0
    (prepared,) = (path for path in Path(".dagfm/prepared").resolve().iterdir() if path.is_dir())
    path = prepared / name
    path.write_bytes(damage(path.read_bytes()))
    code, out, err = fit("dagfm.yaml", "-o", "other")
    assert (code, out) == (2, "")
    assert str(path) in err
    assert f"delete the folder {prepared}" in err
    assert not list(Path("other").rglob("weights.safetensors"))


def test_a_damaged_finished_phase(config: dict[str, Any]) -> None:
    write(config)
    assert fit("dagfm.yaml", "-o", "run")[0] == 0
    path = Path("run/distillation/student/weights.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    results = Path("run/results.json").read_bytes()
    code, out, err = fit("dagfm.yaml", "-o", "run")
    assert (code, out) == (2, "")
    assert f"{path}: 100 bytes, expected" in err
    assert "delete run/distillation/student and run again to redo it" in err
    assert Path("run/results.json").read_bytes() == results


# A full disk -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "counts.npy",
        "encoder.json",
        "weights.safetensors",
        "raw-train.npy",
        "metrics.jsonl",
        "config.yaml",
        "results.json",
        "manifest.json",
    ],
)
def test_a_full_disk_leaves_with_1_and_the_run_goes_on_later(
    config: dict[str, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(config)
    sync = files._sync

    def full(path: Path) -> None:
        if f".{name}." in path.name:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(files, "_sync", full)
        code, out, err = fit("dagfm.yaml", "-o", "run")
    assert (code, out) == (1, "")
    assert "error: disk full while writing " in err
    assert name in err
    assert "free some space and run the same command again" in err
    assert all(".dagfm/prepared/" in str(path) for path in Path.cwd().rglob("*.tmp")), "which goes on from there"
    assert fit("dagfm.yaml", "-o", "run")[0] == 0
    assert not list(Path.cwd().rglob("*.tmp"))
    assert Path("run/bundle/manifest.json").exists()


LIMITED = """
import resource, signal, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from pathlib import Path
import numpy, polars
from dagfm.data.array_files import write_array
from dagfm.files import replacing, write_bytes
path = Path("big")
writers = {
    "array": lambda: write_array(path, numpy.random.default_rng(0).normal(size=100_000)),
    "bytes": lambda: write_bytes(path, bytes(800_000)),
}
try:
    writers[sys.argv[2]]()
except OSError as error:
    print(error.errno, error.filename)
"""


@pytest.mark.parametrize("writer", ["array", "bytes"])
def test_the_systems_reason_for_a_failed_write_and_the_files_name_are_kept(folder: Path, writer: str) -> None:
    """A limit on the size of files stands for the full disk: it, too, fails in the middle of a write."""
    done = subprocess.run([sys.executable, "-c", LIMITED, "100000", writer], capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.EFBIG} big\n"
    assert list(folder.iterdir()) == []


def test_verbose_leaves_a_traceback_of_what_is_refused(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "dagfm"):
        CliRunner().invoke(app, ["--verbose", "fit", "absent.yaml"])
    assert "Traceback" in caplog.text
