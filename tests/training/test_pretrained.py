"""Pretrained vectors in a run: they have an effect, frozen ones stay, other sizes fit, and what is found is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Silent, click_log, small_config
from safetensors.numpy import load_file

import dagfm
from dagfm.data.dataset import Prepared
from dagfm.data.prepare import prepare
from dagfm.encoding.encoder import Encoder
from dagfm.schema import FIRST

SIZE = 4
PHASES = ("teacher_training/teacher", "distillation/student", "finetuning/student")


@pytest.fixture
def place(folder: Path) -> Path:
    """A log of items 0 to 29 and vectors of the items 10 to 39."""
    click_log(1000).write_parquet("clicks.parquet")
    write(4)
    return folder


def write(width: int, scale: float = 1.0, seed: int = 0) -> np.ndarray:
    values = scale * np.random.default_rng(seed).normal(size=(30, width)).astype(np.float32)
    pl.DataFrame({"id": range(10, 40), "vector": values.tolist()}).write_parquet("vectors.parquet")
    return values


def configuration(**pretrained: Any) -> dict[str, Any]:
    config = small_config(Path("clicks.parquet"))
    (item,) = (field for field in config["fields"] if field["name"] == "item")
    item["pretrained"] = {"path": "vectors.parquet", **pretrained}
    config["training"]["teacher_training"] |= {"decay": 0.01, "dropout": 0.0}
    return config


def rows_of(encoder: Encoder, ids: range) -> np.ndarray:
    """Rows of the table of the given items."""
    start = encoder.spans.starts[encoder.schema.names.index("item")]
    encoded: np.ndarray = encoder.vocabularies["item"].encode(pl.Series([str(item) for item in ids]))
    assert (encoded >= FIRST).all()
    return start + encoded


def start_of(config: dict[str, Any], network: str = "crossnet") -> tuple[np.ndarray, Prepared]:
    """A fresh model's table."""
    import torch
    from pydantic import TypeAdapter

    from dagfm.config.networks import NetworkConfig
    from dagfm.training.pretrained import PretrainedVectors
    from dagfm.training.workshop import Workshop

    resolved = dagfm.load_config(config)
    prepared = prepare(resolved, Path.cwd(), Silent())
    vectors = PretrainedVectors.read(resolved, prepared)
    shop = Workshop(resolved, prepared, 1, torch.device("cpu"), Silent(), vectors)
    model = shop.model(TypeAdapter(NetworkConfig).validate_python({"network": network}), "test")
    return model.embedding.weight.detach().numpy().copy(), prepared


def test_vectors_that_train_start_at_the_size_of_the_random_numbers_they_replace(place: Path) -> None:
    values = write(SIZE, scale=70.0)
    table, prepared = start_of(configuration())
    plain, _ = start_of(small_config(Path("clicks.parquet")))
    rows = rows_of(prepared.encoder, range(10, 30))
    factor = table[rows[0], 0] / values[0, 0]
    np.testing.assert_allclose(table[rows], factor * values[:20], rtol=1e-4)
    assert np.square(table[rows]).mean() == pytest.approx(np.square(plain[rows]).mean(), rel=1e-4)
    others = np.setdiff1d(np.arange(len(table)), rows)
    assert np.array_equal(table[others], plain[others])


@pytest.mark.parametrize("network", ["crossnet", "fm"])
def test_shorter_vectors_leave_the_other_columns_to_chance(place: Path, network: str) -> None:
    values = write(2)
    table, prepared = start_of(configuration(trainable=False), network)
    plain, _ = start_of(small_config(Path("clicks.parquet")), network)
    rows = rows_of(prepared.encoder, range(10, 30))
    assert np.array_equal(table[rows, :2], values[:20])
    assert np.array_equal(table[:, 2:], plain[:, 2:])


def test_longer_vectors_keep_as_much_of_their_spread_as_there_is_room_for(place: Path) -> None:
    random = np.random.default_rng(0)
    spread = np.array([9, 7, 5, 3, 0.5, 0.3, 0.2, 0.1])
    turned = np.linalg.qr(random.normal(size=(8, 8)))[0]
    values = (random.normal(size=(30, 8)) * spread @ turned + 3).astype(np.float32)
    pl.DataFrame({"id": range(10, 40), "vector": values.tolist()}).write_parquet("vectors.parquet")
    table, prepared = start_of(configuration(trainable=False))
    found = table[rows_of(prepared.encoder, range(10, 30))]
    centred = values - values.mean(0)
    kept = centred @ np.linalg.svd(centred)[2][:SIZE].T
    # Distances among the vectors are those in the space of the four largest components.
    mine, theirs = (np.linalg.norm(one[:, None] - one[None], axis=2) for one in (found, kept[:20]))
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-3)
    assert np.array_equal(start_of(configuration(trainable=False))[0], table)


@pytest.mark.parametrize("trainable", [True, False])
def test_frozen_vectors_stay_in_teacher_and_student_and_others_train(place: Path, trainable: bool) -> None:
    values = write(SIZE, scale=0.2)
    run = dagfm.fit(configuration(trainable=trainable), place / "run", baselines=["fm"], progress=Silent())
    encoder = run.scorer().bundle.encoder
    with_vector, without = rows_of(encoder, range(10, 30)), rows_of(encoder, range(10))
    before, _ = start_of(configuration(trainable=trainable))
    tables = {phase: load_file(run.directory / phase / "weights.safetensors")["embedding.weight"] for phase in PHASES}
    tables["fm"] = load_file(next((run.directory / "baselines/fm").rglob("weights.safetensors")))["embedding.weight"]
    for phase, table in tables.items():
        assert np.array_equal(table[with_vector, :SIZE], values[:20]) is not trainable, phase
    teacher = tables["teacher_training/teacher"]
    assert np.abs(teacher[without] - before[without]).max() > 1e-3
    if not trainable:
        assert np.abs(tables["fm"][with_vector, SIZE]).max() > 0  # first-order weights train
    assert np.array_equal(
        run.scorer().bundle.arrays["embedding.weight"], tables[f"{run.results['served']['phase']}/student"]
    )


def test_a_random_start_of_the_student_has_them_too(place: Path) -> None:
    values = write(SIZE, scale=0.2)
    config = configuration(trainable=False) | {"distillation": {"embedding": "own"}}
    run = dagfm.fit(config, place / "run", progress=Silent())
    table = load_file(run.directory / "distillation/student/weights.safetensors")["embedding.weight"]
    assert np.array_equal(table[rows_of(run.scorer().bundle.encoder, range(10, 30))], values[:20])


def test_what_is_found_is_told(place: Path) -> None:
    lines: list[str] = []

    class Listening(Silent):
        def line(self, text: str) -> None:
            lines.append(text)

    results = dagfm.fit(configuration(), place / "run", progress=Listening()).results
    facts = results["pretrained"]["item"]
    assert facts.pop("occurrences_with_vector") == pytest.approx(2 / 3, abs=0.06)
    assert facts == {
        "width": 4, "trainable": True, "ids_with_vector": 20, "ids_without_vector": 10, "vectors_without_id": 10,
    }  # fmt: skip
    told = [line for line in lines if "pretrained" in line]
    assert len(told) == 1
    assert "field 'item': 20 ids start from pretrained vectors of 4 numbers" in told[0]
    assert "10 ids have none, 10 vectors have no id" in told[0]


def test_they_have_an_effect_and_another_file_trains_anew(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In RecBole they were without effect, and nothing said so."""
    config = configuration()
    run = place / "run"
    figures = [
        [line["metrics"] for line in dagfm.fit(one, run, progress=Silent()).results["models"]]
        for one in (small_config(Path("clicks.parquet")), config)
    ]
    first = (run / PHASES[0] / "weights.safetensors").read_bytes()
    assert figures[0] != figures[1]
    stamp = (run / PHASES[0] / "manifest.json").stat().st_mtime_ns
    dagfm.fit(config, run, progress=Silent())
    assert (run / PHASES[0] / "manifest.json").stat().st_mtime_ns == stamp
    write(4, seed=1)
    with caplog.at_level("INFO", logger="dagfm"):
        dagfm.fit(config, run, progress=Silent())
    assert "teacher_training/teacher is redone: pretrained.item.content was" in caplog.text
    assert (run / PHASES[0] / "weights.safetensors").read_bytes() != first
    assert len(list((place / ".dagfm" / "prepared").iterdir())) <= 2  # the rows are prepared once, and their lock


def test_the_file_is_found_from_the_configurations_folder(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = configuration(ids="id")
    np.save("v.npy", np.zeros((1, 2)))
    config["fields"][0]["pretrained"] = {"path": "v.npy", "ids": "ids.txt"}
    (place / "dagfm.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.chdir("/")
    fields = {field.name: field.pretrained for field in dagfm.load_config(place / "dagfm.yaml").fields}
    assert fields["item"] is not None
    assert fields["user"] is not None
    assert (fields["item"].path, fields["item"].ids) == (str(place / "vectors.parquet"), "id")
    assert (fields["user"].path, fields["user"].ids) == (str(place / "v.npy"), str(place / "ids.txt"))


def test_what_is_wrong_is_told_with_the_field(place: Path) -> None:
    Path("vectors.parquet").unlink()
    with pytest.raises(dagfm.InputError, match=r"fields\.item\.pretrained: .*vectors\.parquet: no such file"):
        dagfm.fit(configuration(), place / "run", progress=Silent())
    config = small_config(Path("clicks.parquet"))
    config["fields"][4]["pretrained"] = {"path": "vectors.parquet"}
    with pytest.raises(dagfm.InputError, match="'pretrained' is for token and token_seq with a vocabulary"):
        dagfm.load_config(config)


def test_frozen_vectors_of_another_size_are_warned_of(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(SIZE, scale=30.0)
    start_of(configuration(trainable=False))
    assert "frozen vectors are" in caplog.text
    caplog.clear()
    start_of(configuration())
    assert "frozen vectors are" not in caplog.text


@pytest.mark.parametrize("trainable", [True, False])
def test_a_narrower_student_has_the_leading_coordinates_of_longer_vectors(place: Path, trainable: bool) -> None:
    """Vectors fit ``embedding.size``; a student of its own ``size`` may have less room."""
    vectors = write(4) * np.array([3.0, 1.0, 0.1, 0.1], np.float32)
    pl.DataFrame({"id": range(10, 40), "vector": vectors.tolist()}).write_parquet("vectors.parquet")
    config = configuration(trainable=trainable) | {"student": {"network": "dagfm", "depth": 1, "size": 2}}
    config["distillation"] = {"embedding": "own"}
    run = dagfm.fit(config, "run", progress=Silent())
    table = load_file(run.directory / "distillation" / "student" / "weights.safetensors")["embedding.weight"]
    assert table.shape[1] == 2
    if not trainable:
        prepared = prepare(dagfm.load_config(config), place, Silent())
        held = table[rows_of(prepared.encoder, range(10, 30))]
        theirs = vectors[:20] - vectors[:20].mean(axis=0)
        mine = held - held.mean(axis=0)
        kept, whole = (np.square(one.astype(np.float64)).sum() for one in (mine, theirs))
        assert 0.98 < kept / whole <= 1 + 1e-6
