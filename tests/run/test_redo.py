"""What a second ``fit`` does again: nothing, or what depends on a changed key, and it says which key and why."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from clicks import STAGES, Silent, click_log, small_config, titles_of_steps

import dagfm
from dagfm.files import open_sealed, seal
from dagfm.training.stage import FORMAT, KIND


class Redo:
    """Fits one configuration again and again, and tells what each time was trained."""

    def __init__(self, config: Path, run: Path, titles: list[str], caplog: pytest.LogCaptureFixture) -> None:
        self.config, self.run, self._titles, self._caplog = config, run, titles, caplog

    def __call__(self, *overrides: str, baselines: tuple[Any, ...] = ("scratch", "fm"), seeds: int = 1) -> set[str]:
        """The stages that were trained or written."""
        before = self._times()
        self._titles.clear()
        self._caplog.clear()
        dagfm.fit(self.config, self.run, overrides=overrides, baselines=baselines, seeds=seeds, progress=Silent())
        after = self._times()
        return {stage for stage in after if after[stage] != before.get(stage)}

    @property
    def trained(self) -> list[str]:
        """Titles of the training loops that made at least one step."""
        return list(dict.fromkeys(self._titles))

    @property
    def log(self) -> str:
        return self._caplog.text

    def _times(self) -> dict[str, list[tuple[str, int]]]:
        folders = {manifest.parent for manifest in self.run.rglob("inputs.json")}
        return {
            str(folder.relative_to(self.run)): [
                (path.name, path.stat().st_mtime_ns) for path in sorted(folder.iterdir()) if path.is_file()
            ]
            for folder in folders
        }


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small log, its configuration and a finished run, for each test to continue a copy of."""
    folder = tmp_path_factory.mktemp("base")
    click_log(600).write_parquet(folder / "clicks.parquet")
    (folder / "dagfm.yaml").write_text(yaml.safe_dump(small_config(Path("clicks.parquet"))))
    dagfm.fit(folder / "dagfm.yaml", folder / "run", baselines=["scratch", "fm"], progress=Silent())
    return folder


@pytest.fixture
def redo(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Redo:
    titles = titles_of_steps(monkeypatch)
    caplog.set_level(logging.INFO, "dagfm")
    shutil.copytree(base / "run", tmp_path / "run")
    return Redo(base / "dagfm.yaml", tmp_path / "run", titles, caplog)


def test_a_second_fit_trains_and_writes_nothing(redo: Redo) -> None:
    redo()  # the copied run learns where it lies now
    results = (redo.run / "results.json").read_bytes()
    bundle = {path: path.read_bytes() for path in (redo.run / "bundle").rglob("*") if path.is_file()}
    assert redo() == set()
    assert redo.trained == []
    assert "redone" not in redo.log
    assert (redo.run / "results.json").read_bytes() == results
    assert {path: path.read_bytes() for path in (redo.run / "bundle").rglob("*") if path.is_file()} == bundle


def test_a_phase_of_before_logits_were_kept_is_scored_again(redo: Redo) -> None:
    redo()
    results = json.loads((redo.run / "results.json").read_text())
    stage = redo.run / "baselines" / "fm" / "decay-0.001-dropout-0.1"
    facts = open_sealed(stage, KIND, FORMAT)
    names = [name for name in facts.pop("files") if not name.endswith("-logits.npy")]
    kept = (stage / "test-logits.npy").read_bytes()
    (stage / "valid-logits.npy").unlink()
    (stage / "test-logits.npy").unlink()
    seal(stage, KIND, FORMAT, names, {key: facts[key] for key in facts if key not in ("kind", "format")})
    assert redo() == {"baselines/fm/decay-0.001-dropout-0.1"}
    assert redo.trained == []
    assert (stage / "test-logits.npy").read_bytes() == kept
    assert json.loads((redo.run / "results.json").read_text()) == results


def test_a_setting_of_finetuning_redoes_finetuning_alone(redo: Redo) -> None:
    assert redo("training.finetuning.epochs=3") == {"finetuning/student"}
    assert redo.trained == ["finetuning of student (seed 2022)"]
    assert "finetuning/student is redone: training.finetuning.epochs was 2, is 3" in redo.log
    assert redo.log.count("redone") == 1
    assert redo("training.finetuning.epochs=3") == set()
    assert redo() == {"finetuning/student"}


def test_a_setting_of_distillation_redoes_it_and_what_follows(redo: Redo) -> None:
    assert redo("distillation.beta=2.0") == {"distillation/student", "finetuning/student"}
    assert "distillation/student is redone: distillation.beta was 1.0, is 2.0" in redo.log
    assert "finetuning/student is redone: student changed" in redo.log


def test_the_teacher_redoes_all_but_the_baselines_training(redo: Redo) -> None:
    redo("training.teacher_training.learning_rate=0.02")
    assert [title.split(" ")[0] for title in redo.trained] == ["teacher_training", "distillation", "finetuning"]
    assert "teacher_training/teacher is redone: training.teacher_training.learning_rate was 0.01, is 0.02" in redo.log
    assert "teacher_logits is redone: teachers changed" in redo.log


def test_a_baselines_distance_to_the_teacher_is_to_the_present_teacher(redo: Redo, tmp_path: Path) -> None:
    redo("training.teacher_training.learning_rate=0.02")
    changed = dagfm.fit(
        redo.config, redo.run, overrides=["training.teacher_training.learning_rate=0.02"],
        baselines=["scratch", "fm"], progress=Silent(),
    )  # fmt: skip
    fresh = dagfm.fit(
        redo.config, tmp_path / "fresh", overrides=["training.teacher_training.learning_rate=0.02"],
        baselines=["scratch", "fm"], progress=Silent(),
    )  # fmt: skip
    metrics = [[line["metrics"] for line in run.results["models"]] for run in (changed, fresh)]
    assert metrics[0] == metrics[1]


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("training.seed=7", "training.seed was 2022, is 7"),
        ("training.batch_size=128", "training.batch_size was 256, is 128"),
        ("embedding.size=5", "embedding.size was 4, is 5"),
        ("data.split.seed=1", "data changed"),
    ],
)
def test_what_every_phase_depends_on_redoes_all(redo: Redo, override: str, told: str) -> None:
    assert redo(override) == STAGES
    told_of = [line for line in redo.log.splitlines() if "redone" in line]
    assert len(told_of) == len(STAGES)
    # The teacher's logits depend on it through the teacher.
    assert sum(told in line for line in told_of) >= len(STAGES) - 1


def test_changed_rows_redo_all(redo: Redo, base: Path, tmp_path: Path) -> None:
    shutil.copy(base / "dagfm.yaml", tmp_path)
    click_log(600, seed=1).write_parquet(tmp_path / "clicks.parquet")
    redo.config = tmp_path / "dagfm.yaml"
    assert redo() == STAGES
    assert "teacher_training/teacher is redone: data changed" in redo.log


def test_a_baseline_added_later_trains_alone(redo: Redo) -> None:
    assert redo("training.scratch.dropout=[0.1, 0.2]") == {"baselines/scratch/decay-0.001-dropout-0.2"}
    assert redo.trained == ["baseline scratch, decay 0.001, dropout 0.2 (seed 2022)"]


def test_a_student_added_later_trains_alone(redo: Redo) -> None:
    redo("student=[{name: student, depth: 2}, {name: other, depth: 1}]", baselines=())
    assert redo.trained == ["distillation of other (seed 2022)", "finetuning of other (seed 2022)"]


def test_a_log_that_is_only_touched_trains_nothing(redo: Redo, base: Path) -> None:
    os.utime(base / "clicks.parquet")
    assert redo() == set()


def test_a_label_rule_that_changes_no_label_trains_nothing_and_reaches_the_bundle(redo: Redo) -> None:
    assert redo("data.label={column: click, positive_from: 1}") == set()
    assert dagfm.load(redo.run).card["label"]["positive_from"] == 1


def test_the_bundle_of_a_student_no_longer_configured_goes(redo: Redo) -> None:
    redo("student=[{name: student, depth: 2}, {name: other, depth: 1}]", baselines=())
    assert {path.name for path in (redo.run / "bundles").iterdir()} == {"student", "other"}
    redo(baselines=())
    assert list((redo.run / "bundles").iterdir()) == []


def test_more_seeds_find_the_first_ones_work_and_fewer_too(redo: Redo) -> None:
    trained = redo(seeds=2)
    assert {Path(stage).name for stage in trained if "baselines" not in stage} == {"seed-2023"}
    assert redo(seeds=1) == set()
    assert redo(seeds=2) == set()


def test_a_seed_added_later_trains_alone(redo: Redo) -> None:
    redo(seeds=2)
    redo(seeds=3)
    assert {title.rpartition(" ")[2] for title in redo.trained} == {"2024)"}


@pytest.mark.parametrize("key", ["recombined_cap", "threads"])
def test_what_changes_no_figure_redoes_nothing(redo: Redo, key: str) -> None:
    assert redo({"recombined_cap": "distillation.recombined_cap=999999", "threads": "training.threads=1"}[key]) == set()
