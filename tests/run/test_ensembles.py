"""Ensembles: members of several networks, seeds and sizes, each trained in its own way."""

from __future__ import annotations

from pathlib import Path

import pytest
from clicks import Silent, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.errors import InputError

MEMBERS = [
    {"network": "fm", "seeds": 2, "size": 3},
    {"network": "crossnet", "depth": 1, "training": {"epochs": 1, "learning_rate": 0.001}},
]


def test_members_differ_in_network_seed_size_and_training(folder: Path, log_path: Path) -> None:
    run = dagfm.fit(small_config(log_path) | {"teacher": MEMBERS}, folder / "run", progress=Silent())
    places = {place.name: place for place in (run.directory / "teacher_training").iterdir()}
    assert sorted(places) == ["crossnet-3", "fm-1", "fm-2"]
    tables = {name: load_file(place / "weights.safetensors")["embedding.weight"] for name, place in places.items()}
    assert tables["fm-1"].shape == tables["fm-2"].shape
    assert tables["fm-1"].shape[1] == 3 + 1
    assert tables["crossnet-3"].shape[1] == 4
    assert (tables["fm-1"] != tables["fm-2"]).any()
    epochs = {name: len((place / "metrics.jsonl").read_text().splitlines()) for name, place in places.items()}
    assert epochs == {"fm-1": 2, "fm-2": 2, "crossnet-3": 1}
    names = [entry["name"] for entry in run.results["models"]]
    assert names[:4] == ["fm-1", "fm-2", "crossnet-3", "ensemble"]


def test_a_members_weights_do_not_depend_on_its_name_and_place(folder: Path, log_path: Path) -> None:
    there = dagfm.fit(small_config(log_path) | {"teacher": MEMBERS}, folder / "there", progress=Silent()).directory
    alone = {"teacher": {"network": "fm", "size": 3, "name": "alone"}}
    here = dagfm.fit(small_config(log_path) | alone, folder / "here", progress=Silent()).directory
    first = (there / "teacher_training" / "fm-1" / "weights.safetensors").read_bytes()
    assert (here / "teacher_training" / "alone" / "weights.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("teacher", "message"),
    [
        ({"training": {"epoch": 3}}, "epoch"),
        ({"training": {"monitor": "logit_mse"}}, "logit_mse"),
        ({"seeds": 0}, "seeds"),
    ],
)
def test_a_members_wrong_settings_are_refused(folder: Path, log_path: Path, teacher: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        dagfm.fit(small_config(log_path) | {"teacher": teacher}, folder / "run", progress=Silent())


@pytest.mark.parametrize("student", [{"seeds": 2}, {"training": {"epochs": 3}}])
def test_a_student_has_no_settings_of_teachers(folder: Path, log_path: Path, student: dict) -> None:
    with pytest.raises(InputError, match="of teachers"):
        dagfm.fit(small_config(log_path) | {"student": student}, folder / "run", progress=Silent())
