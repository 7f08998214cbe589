"""Loading a configuration: what wins over what, where paths point, and how every mistake is told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from dagfm.config import Config, load_config
from dagfm.config.networks import CINConfig
from dagfm.config.presets import PRESETS
from dagfm.errors import InputError

MINIMAL: dict[str, Any] = {
    "data": {"train": "clicks.csv", "label": "click"},
    "fields": [{"name": "user"}, {"name": "item", "side": "candidate"}],
}


def _file(folder: Path, **keys: Any) -> Path:
    path = folder / "dagfm.yaml"
    path.write_text(yaml.safe_dump({**MINIMAL, **keys}))
    return path


def _refusal(source: Any, *overrides: str) -> str:
    with pytest.raises(InputError) as refused:
        load_config(source, overrides)
    return str(refused.value)


# What wins


def test_default_then_preset_then_file_then_set(tmp_path: Path) -> None:
    def rates(*overrides: str, **keys: Any) -> float:
        return load_config(_file(tmp_path, **keys), overrides).training.finetuning.learning_rate

    assert rates() == 5e-4
    assert load_config(_file(tmp_path)).training.teacher_training.learning_rate == 1e-2
    assert load_config(_file(tmp_path, preset="paper")).training.teacher_training.learning_rate == 1e-3
    file = {"training": {"finetuning": {"learning_rate": 0.5}}}
    assert rates(preset="paper", **file) == 0.5
    assert rates("training.finetuning.learning_rate=0.25", preset="paper", **file) == 0.25


def test_a_preset_keeps_what_the_file_does_not_name(tmp_path: Path) -> None:
    config = load_config(_file(tmp_path, preset="paper", training={"finetuning": {"epochs": 2}}))
    assert (config.training.finetuning.epochs, config.training.finetuning.patience) == (2, 10)
    assert config.distillation.beta == 921.6


def test_a_phase_keeps_the_defaults_it_does_not_name() -> None:
    phase = load_config(MINIMAL, ["training.teacher_training.epochs=2"]).training.teacher_training
    assert (phase.epochs, phase.decay, phase.dropout) == (2, "auto", "auto")


def test_an_fm_is_tried_with_less_decay_than_the_student_on_clicks_alone() -> None:
    training = load_config(MINIMAL, ["training.fm.epochs=2"]).training
    least = [min(decay for decay in one.decay if decay != "auto") for one in (training.fm, training.scratch)]
    assert least[0] < least[1] / 10


def test_the_preset_can_be_set_on_the_command_line(tmp_path: Path) -> None:
    assert load_config(_file(tmp_path), ["preset=paper"]).distillation.embedding == "teacher_frozen"


def test_a_key_that_overrides_the_preset_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = _file(tmp_path, preset="paper", student={"type": "inner", "depth": 3})
    with caplog.at_level(logging.INFO, "dagfm"):
        load_config(path, ["training.finetuning.epochs=4"])
    assert caplog.messages == [
        "student.type overrides preset 'paper'",
        "training.finetuning.epochs overrides preset 'paper'",
    ]


def test_another_network_does_not_inherit_the_settings_of_the_presets() -> None:
    teacher = load_config(MINIMAL, ["preset=paper", "teacher={network: cin, t_cin: [64, 64]}"]).teacher[0]
    assert teacher.model_dump() == CINConfig(cin=(64, 64)).model_dump()


def test_a_later_set_wins() -> None:
    assert load_config(MINIMAL, ["training.seed=1", "training.seed=2"]).training.seed == 2


def test_a_finished_configuration_passes_and_takes_overrides() -> None:
    config = load_config(MINIMAL)
    assert load_config(config) is config
    changed = load_config(config, ["training.seed=7"])
    assert (changed.training.seed, changed.data, changed.fields) == (7, config.data, config.fields)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_resolved_configuration_loads_to_itself(tmp_path: Path, preset: str) -> None:
    config = load_config(_file(tmp_path, preset=preset))
    (tmp_path / "resolved.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
    assert load_config(tmp_path / "resolved.yaml") == config


# What is accepted


def test_one_network_or_a_list() -> None:
    assert load_config(MINIMAL, ["teacher=[{depth: 2}, {network: fm}]"]).named("teacher")[1][0] == "fm-2"
    assert load_config(MINIMAL).named("student")[0][0] == "student"
    assert load_config(MINIMAL, ["student={name: small}"]).named("student")[0][0] == "small"


@pytest.mark.parametrize("spelling", ["crossnet", "CrossNet", "CROSSNET"])
def test_networks_in_any_case(spelling: str) -> None:
    assert load_config(MINIMAL, [f"teacher.network={spelling}"]).teacher[0].network == "crossnet"


def test_the_references_spelling_of_a_teachers_settings() -> None:
    assert load_config(MINIMAL, ["teacher.t_depth=5"]).teacher[0].model_dump()["depth"] == 5
    assert "given twice" in _refusal(MINIMAL, "teacher={depth: 2, t_depth: 3}")


def test_it_is_frozen() -> None:
    config = load_config(MINIMAL)
    with pytest.raises(ValidationError, match="frozen"):
        config.training.seed = 7
    with pytest.raises(ValidationError, match="frozen"):
        config.preset = "paper"


# Paths


def test_paths_of_a_file_are_relative_to_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    data = {**MINIMAL["data"], "tables": {"user": "users.csv"}, "valid": ["/abs/v.csv"], "test": "t/*.csv"}
    path = _file(tmp_path / "conf", data=data, phase="finetuning", warm_up="../run")
    monkeypatch.chdir(tmp_path)
    config = load_config(path.relative_to(tmp_path), ["data.tables.user=other.csv"])
    folder = tmp_path / "conf"
    assert config.data.train == (str(folder / "clicks.csv"),)
    assert config.data.valid == ("/abs/v.csv",)
    assert config.data.test == (str(folder / "t/*.csv"),)
    assert {key: table.path for key, table in config.data.tables.items()} == {"user": str(tmp_path / "other.csv")}
    assert config.warm_up is not None
    assert Path(config.warm_up).resolve() == tmp_path / "run"


def test_paths_of_a_mapping_are_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(MINIMAL).data.train == (str(tmp_path / "clicks.csv"),)


# Mistakes


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.sed=7", "unknown key 'training.sed'. Did you mean 'seed'? Valid here: batch_size,"),
        ("trainin.seed=7", "unknown key 'trainin'. Did you mean 'training'?"),
        ("data.lable=x", "unknown key 'data.lable'. Did you mean 'label'?"),
        ("data.label={colunm: x}", "unknown key 'data.label.colunm'. Did you mean 'column'?"),
        ("fields=[{name: a, nme: b}]", "unknown key 'fields.0.nme'. Did you mean 'name'?"),
        ("student.dept=2", "unknown key 'student.0.dept'. Did you mean 'depth'?"),
        (
            "teacher={network: cin, depth: 2}",
            "unknown key 'teacher.0.depth'. Valid here: cin, extra_fields, name, network",
        ),
    ],
)
def test_an_unknown_key_names_the_nearest(override: str, message: str) -> None:
    assert f"configuration: {message}" in _refusal(MINIMAL, override)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("teacher.network=crosnet", "'crosnet'; valid: dagfm, crossnet, cin, fm, "),
        ("teacher.network=crosnet", ". Did you mean 'crossnet'?"),
        ("phase=distil", "'distil' is not valid; valid: teacher_training, distillation, finetuning."),
        ("student.type=innr", "student.0.type: 'innr' is not valid; valid: inner, outer, kernel. Did"),
        ("fields=[{name: a, type: tokn}]", "fields.0.type: 'tokn' is not valid; valid: token, token_seq, float,"),
        ("preset=papr", "preset: 'papr' is not valid; valid: default, paper. Did you mean 'paper'?"),
        ("training.device=gpu", "training.device: 'gpu' is not valid; valid: auto, cpu, cuda."),
    ],
)
def test_an_unknown_word_lists_the_valid_ones(override: str, message: str) -> None:
    assert message in _refusal(MINIMAL, override)


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("{network: mlp, hidden: []}", "hidden: expected at least one, found []"),
        ("{network: cin, cin: []}", "cin: expected at least one, found []"),
        ("{network: dcnv2, hidden: [8, 0]}", "hidden.1: Input should be greater than 0, found 0"),
        ("{network: dcnv2, dropout: 1.0}", "dropout: Input should be less than 1, found 1.0"),
        ("{network: xdeepfm, cin: [4, x]}", "cin.1: Input should be a valid integer, "),
    ],
)
def test_a_networks_wrong_setting_is_told_once_by_its_key(member: str, told: str) -> None:
    (line,) = _refusal(MINIMAL, f"teacher={member}").splitlines()
    assert line.startswith(f"configuration: teacher.0.{told}")


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("training.seed=-1", "training.seed"),
        ("training.seed=seven", "training.seed"),
        ("training.batch_size=0", "training.batch_size"),
        ("training.teacher_training.learning_rate=0", "training.teacher_training.learning_rate"),
        ("training.teacher_training.dropout=1", "training.teacher_training.dropout"),
        ("student.depth=0", "student.0.depth"),
        ("data.split.ratios=[0.5, 0.1, 0.1]", "data.split.ratios: the three shares add up to 0.7, expected 1"),
        ("data.train=[]", "data.train"),
        ("data.valid=v.csv", "data: give 'test' too, or neither"),
        ("data=3", "data"),
        ("fields=[]", "'fields' is empty"),
        ("fields=[{name: click}]", "fields: 'click' is the label"),
        ("fields=[{name: a}, {name: a}]", "field 'a' is listed twice"),
        ("student=[{name: a}, {name: a}]", "student: two members are called 'a'"),
        ("student.name=a/b", "student.0.name"),
        ("phase=finetuning", "phase 'finetuning' starts from earlier weights: set 'warm_up'"),
        ("warm_up=runs/a", "'warm_up' goes with 'phase'"),
        (
            "training.fm.monitor=logit_mse",
            "training: fm.monitor: 'logit_mse' needs a teacher; valid here: auc, logloss",
        ),
    ],
)
def test_a_wrong_value_names_its_key(override: str, key: str) -> None:
    assert f"configuration: {key}" in _refusal(MINIMAL, override)


def test_every_mistake_is_told_at_once(tmp_path: Path) -> None:
    path = _file(tmp_path, training={"sed": 1}, embedding={"size": 0})
    lines = _refusal(path).splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}: ") for line in lines)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("fields: [{name: a}]\n")
    assert _refusal(tmp_path / "a.yaml") == f"{tmp_path / 'a.yaml'}: missing key 'data'"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a\n- b\n", "found list"),
        ("", "found NoneType"),
        ("a: [", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text)
    assert message in _refusal(path)
    assert str(path) in _refusal(path)


def test_a_file_that_is_not_there_says_how_to_write_one(tmp_path: Path) -> None:
    assert "'dagfm init FILE' writes one" in _refusal(tmp_path / "a.yaml")
    assert "cannot be read" in _refusal(tmp_path)


@pytest.mark.parametrize("pair", ["training.seed", "=7", "a..b=1", ".a=1", "training.seed=: ["])
def test_a_malformed_set_is_quoted(pair: str) -> None:
    assert f"--set {pair}: " in _refusal(MINIMAL, pair)


# Sides


def test_candidates_are_drawn_where_there_are_some() -> None:
    assert load_config(MINIMAL, ["distillation.recombined_from=uniform"]).recombination == "sides"
    for other in ("distillation.pool=fields", "fields=[{name: a}, {name: b, type: float, side: candidate}]"):
        assert "recombined_from: 'uniform'" in _refusal(MINIMAL, "distillation.recombined_from=uniform", other)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ([], "sides"),
        (["distillation.pool=fields"], "fields"),
        (["distillation.recombined=0"], None),
        (["fields=[{name: a}, {name: b}]"], "fields"),
        (["fields=[{name: a, side: candidate}, {name: b, side: candidate}]"], "fields"),
        (["fields=[{name: a}, {name: b}]", "distillation.pool=sides"], None),
        (["fields=[{name: a, side: candidate}]"], None),
        (["fields=[{name: a}, {name: b, column: a, encode: target}]"], None),
    ],
)
def test_rows_are_recombined_by_sides_or_else_by_fields(overrides: list[str], expected: str | None) -> None:
    assert load_config(MINIMAL, overrides).recombination == expected


def test_a_configuration_is_made_in_python_too() -> None:
    config = Config.model_validate(MINIMAL)
    assert config.schema_.names == ("user", "item")


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (
            {"data": "clicks.csv"},
            "data: expected one or more of the keys columns, encoding, format",
        ),
        ({"embedding": 16}, "embedding: expected one or more of the keys size, found 16"),
        ({"fields": {"user": "token"}}, "fields: expected a list, found {'user': 'token'}"),
        ({"student": []}, "student: expected at least one, found []"),
        ({"distillation": {"recombined": float("inf")}}, "distillation.recombined: Input should be a finite number"),
        ({"training": {"distillation": {"learning_rate": float("inf")}}}, "learning_rate: Input should be a finite"),
    ],
)
def test_another_kind_of_value_is_told_in_words_of_the_file(keys: dict[str, Any], told: str) -> None:
    assert told in _refusal({**MINIMAL, **keys})


def test_an_fm_has_no_embedding_to_freeze() -> None:
    frozen = {"distillation": {"embedding": "teacher_frozen"}}
    assert "valid here: teacher_trainable, own" in _refusal({**MINIMAL, **frozen, "teacher": {"network": "fm"}})
    both = [{"network": "fm"}, {"network": "crossnet"}]
    assert load_config({**MINIMAL, **frozen, "teacher": both}).distillation.embedding == "teacher_frozen"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("student={hidden: [8]}", "hidden: a linear head has no hidden layers; add 'head: mlp'"),
        ("student={head: mlp, hidden: []}", "hidden: expected at least one"),
        ("student={head: mpl}", "'mpl' is not valid; valid: linear, mlp. Did you mean 'mlp'?"),
        ("distillation={head: both}", "distillation.head: 'both' is not valid; valid: shared, separate"),
        ("distillation={clip: 0.5}", "distillation.clip: "),
        ("distillation={clip: -0.1}", "distillation.clip: "),
    ],
)
def test_what_makes_no_sense_of_a_student_is_refused(override: str, told: str) -> None:
    assert told in _refusal(MINIMAL, override)


def test_first_order_weights_that_nobody_would_train_are_refused() -> None:
    frozen = "distillation.embedding=teacher_frozen"
    told = _refusal(MINIMAL, frozen, "student={first_order: true}")
    assert told.startswith("configuration: distillation.embedding: 'teacher_frozen', but a student has first_order")
    assert load_config(MINIMAL, [frozen]).student[0].first_order is False


def test_a_served_head_of_its_own_is_not_chosen_by_its_distance_to_the_teacher() -> None:
    pair = ("distillation.head=separate", "training.finetuning.monitor=logit_mse")
    assert "training.finetuning.monitor: 'logit_mse', but with distillation.head 'separate'" in _refusal(MINIMAL, *pair)
    for one in (*pair, "training.distillation.monitor=logit_mse"):
        load_config(MINIMAL, [one])


def test_a_resolved_configuration_with_a_linear_head_can_be_loaded_again() -> None:
    for override in ("student={head: linear}", "student={head: mlp, hidden: [8, 4]}"):
        config = load_config(MINIMAL, [override])
        assert load_config(config.model_dump(mode="json")) == config


def test_a_networks_name_alone_is_a_network() -> None:
    by_name = load_config({**MINIMAL, "teacher": ["CrossNet", {"network": "cin"}], "student": "dagfm"})
    written = load_config({**MINIMAL, "teacher": [{"network": "crossnet"}, {"network": "cin"}]})
    assert (by_name.teacher, by_name.student) == (written.teacher, written.student)
    assert (
        load_config({**MINIMAL, "teacher": "fm"}).teacher
        == load_config({**MINIMAL, "teacher": {"network": "fm"}}).teacher
    )
