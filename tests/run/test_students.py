"""Students with hidden layers, with first-order weights and with a head of the teacher's own, through a whole run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Silent, click_log, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.training import loop
from dagfm.training.checkpoint import load_checkpoint

DEEP = {"name": "deep", "depth": 2, "head": "mlp", "hidden": [6, 3]}
FIRST = {"name": "first", "depth": 1, "type": "outer", "first_order": True}
WEIGHTS = "weights.safetensors"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log, its configuration and a run of two students, one added after the other."""
    folder = tmp_path_factory.mktemp("students")
    click_log(1000).write_parquet(folder / "clicks.parquet")
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(small_config(Path("clicks.parquet"), student=DEEP)))
    dagfm.fit(folder / "dagfm.yaml", folder / "run", progress=Silent())
    dagfm.distil(folder / "run", [FIRST], progress=Silent())
    return folder


def _fit(home: Path, run: Path, *overrides: str, **more: Any) -> dagfm.Run:
    return dagfm.fit(home / "dagfm.yaml", run, overrides=overrides, **{"progress": Silent(), **more})


def _weights(run: Path, phase: str = "*") -> dict[str, bytes]:
    return {str(path.relative_to(run)): path.read_bytes() for path in sorted(run.glob(f"{phase}/*/{WEIGHTS}"))}


@pytest.mark.parametrize("name", ["deep", "first"])
def test_a_bundle_gives_the_logits_of_the_network_that_was_trained(home: Path, name: str) -> None:
    run = home / "run"
    scorer = dagfm.load(run / "bundles" / name)
    phase = scorer.card["served"]["phase"]
    trained = np.sort(np.load(run / phase / name / "test-logits.npy"))
    permutation = np.random.default_rng(2022).permutation(1000)
    rows = pl.read_parquet(home / "clicks.parquet")[permutation[:100].tolist()]
    served = np.sort(scorer.logits(rows))
    assert np.abs(served - trained).max() <= 1e-6 * max(1.0, float(np.abs(trained).max()))


def test_costs_and_sizes_are_those_of_hidden_layers_and_first_order_weights(home: Path) -> None:
    frontier = {one["name"]: one for one in json.loads((home / "run" / "results.json").read_text())["frontier"]}
    edges, sums = 21, 6 * 3
    hidden = sums * 6 + 6 * 3
    assert frontier["deep"]["multiply_adds"] == 2 * edges * 4 + edges * 4 + hidden
    assert frontier["deep"]["parameters"] == 2 * edges * 4 + edges + sums + 1 + hidden + 6 + 3 + 3
    assert frontier["first"]["multiply_adds"] == 2 * edges * 4 + edges * 4
    table = load_file(home / "run" / "bundles" / "first" / WEIGHTS)["embedding.weight"]
    assert table.shape[1] == 5
    assert np.abs(table[:, 4]).max() > 0
    assert frontier["first"]["bytes"]["embedding"] == table.nbytes


def test_added_later_they_are_those_that_were_there_from_the_start(home: Path, tmp_path: Path) -> None:
    whole = _fit(home, tmp_path / "run", f"student={json.dumps([DEEP, FIRST])}").directory
    mine, theirs = _weights(home / "run"), _weights(whole)
    assert mine == theirs
    assert "distillation/first/weights.safetensors" in mine


def test_finetuning_alone_starts_from_their_weights(home: Path, tmp_path: Path) -> None:
    start = home / "run" / "distillation" / "deep"
    run = _fit(home, tmp_path / "run", "phase=finetuning", f"warm_up={start}").directory
    assert (run / "finetuning" / "deep" / WEIGHTS).read_bytes() == (
        home / "run" / "finetuning" / "deep" / WEIGHTS
    ).read_bytes()
    with pytest.raises(dagfm.InputError, match="head is mlp, this run's is linear"):
        _fit(home, tmp_path / "no", "phase=finetuning", f"warm_up={start}", "student={network: dagfm, depth: 2}")
    with pytest.raises(dagfm.InputError, match=r"hidden is \[6, 3\], this run's is \[6\]"):
        _fit(home, tmp_path / "no", "phase=finetuning", f"warm_up={start}", "student.hidden=[6]")


def test_what_is_not_in_use_is_not_among_the_inputs_of_a_phase(home: Path, tmp_path: Path) -> None:
    """A run that was made before there were these keys goes on."""
    run = _fit(home, tmp_path / "run", "student={network: dagfm, depth: 1}").directory
    inputs = json.loads((run / "distillation" / "student" / "inputs.json").read_text())
    assert inputs["student"] == {
        "network": "dagfm", "type": "inner", "depth": 1, "connect": "auto", "head": "linear",
    }  # fmt: skip
    assert inputs["distillation"] == {
        "alpha": 0.0, "beta": 1.0, "embedding": "teacher_trainable", "recombined": 1.0,
    }  # fmt: skip
    logits = json.loads((run / "teacher_logits" / "inputs.json").read_text())
    assert logits["distillation"] == {"calibrate": "auto"}


# A head of the teacher's own


SEPARATE = "distillation.head=separate"


@pytest.fixture(scope="module")
def separate(home: Path) -> Path:
    return _fit(home, home / "separate", SEPARATE).directory


def test_a_head_of_the_teachers_own_is_in_no_finished_weights(separate: Path) -> None:
    for phase in ("distillation", "finetuning"):
        names = load_file(separate / phase / "deep" / WEIGHTS).keys()
        assert "network.head.deep_weight" in names
        assert not [name for name in names if "distillation_head" in name]
    assert dagfm.load(separate / "bundle").predict(click_log(5)).shape == (5,)


def test_without_weight_of_the_clicks_the_served_head_alone_learns_them(home: Path, tmp_path: Path) -> None:
    """What lies below it is the same as if the served head had not been there: it learns from the teacher alone."""
    tables = {}
    for name, labels in (("as they are", "click"), ("turned round", "turned")):
        log = pl.read_parquet(home / "clicks.parquet").with_columns(turned=1 - pl.col("click"))
        log.with_columns(given=pl.col("price").fill_null(0.5).log()).write_parquet(tmp_path / "clicks.parquet")
        config = small_config(tmp_path / "clicks.parquet", student=DEEP, teacher={"scores": "given", "kind": "logit"})
        config["data"]["label"] = labels
        config["training"]["distillation"]["monitor"] = "logit_mse"
        config["distillation"] = {"head": "separate", "calibrate": False}
        config["training"]["initialisation"] = "reference"  # no logit starts at the click rate
        run = dagfm.fit(config | {"phase": "distillation"}, tmp_path / name, progress=Silent())
        tables[name] = load_file(run.directory / "distillation" / "deep" / WEIGHTS)
    one, other = tables.values()
    for part in one:
        assert np.array_equal(one[part], other[part]) == ("head" not in part), part


def test_the_distance_that_chooses_weights_is_the_teachers_heads(separate: Path) -> None:
    (line, *_) = [
        json.loads(line) for line in (separate / "distillation" / "deep" / "metrics.jsonl").read_text().splitlines()
    ]
    entry = next(
        one
        for one in json.loads((separate / "results.json").read_text())["models"]
        if (one["name"], one["phase"]) == ("deep", "distillation")
    )
    assert line["valid"]["logit_mse"] > 0
    assert entry["metrics"]["valid"]["logit_mse"] != pytest.approx(line["valid"]["logit_mse"])


def test_finetuning_moves_the_served_head_alone(separate: Path) -> None:
    before, after = (load_file(separate / phase / "deep" / WEIGHTS) for phase in ("distillation", "finetuning"))
    for name in before:
        assert np.array_equal(before[name], after[name]) == (not name.startswith("network.head.")), name


def test_the_weight_of_the_clicks_reaches_what_lies_below(home: Path, separate: Path, tmp_path: Path) -> None:
    run = _fit(home, tmp_path / "run", SEPARATE, "distillation.alpha=0.5").directory
    mine, theirs = (load_file(one / "distillation" / "deep" / WEIGHTS) for one in (run, separate))
    assert not np.array_equal(mine["network.p"], theirs["network.p"])
    assert mine.keys() == theirs.keys()


class BrokenOffError(Exception):
    """What stands for a kill."""


@pytest.mark.parametrize(
    "settings", [(), ("training.distillation.ema=0.9", "training.distillation.updated_rows=looked_up")]
)
def test_distillation_with_two_heads_goes_on_to_the_same_bytes(
    home: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    overrides = (
        SEPARATE,
        "distillation.alpha=0.1",
        "training.batch_size=128",
        "training.distillation.epochs=2",
        *settings,
    )
    whole = _fit(home, tmp_path / "whole", *overrides).directory
    step, steps = loop._Training._step, 0

    def breaking(self: Any, *arguments: Any) -> Any:
        nonlocal steps
        steps += self.task.title.startswith("distillation")
        if steps == 11:
            raise BrokenOffError
        return step(self, *arguments)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(BrokenOffError):
        patch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
        patch.setattr(loop._Training, "_step", breaking)
        _fit(home, tmp_path / "run", *overrides)
    checkpoint = load_checkpoint(tmp_path / "run" / "distillation" / "deep")
    assert checkpoint is not None
    assert "model/network.distillation_head.weight" in checkpoint[0]
    assert _weights(_fit(home, tmp_path / "run", *overrides).directory) == _weights(whole)
