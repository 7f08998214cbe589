"""Bundles that are damaged, or made to do harm, with checksums that are right: refused by the name of the file."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scorers import LOG, scorer_of

import dagfm
from dagfm.encoding.beta import Beta
from dagfm.encoding.encoder_file import read_encoder, write_encoder
from dagfm.encoding.statistics import Grid, Statistics
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.files import MANIFEST, digest
from dagfm.kernel.library import versions
from dagfm.schema import Field, Schema
from dagfm.serving.bundle import write_bundle
from dagfm.serving.golden import with_golden
from dagfm.serving.reference import reference_of
from dagfm.serving.weights import packed

FIELDS = {"user", "item", "tags", "price", "amount", "user x item"}
SECRET = "fingerprint of this manifest"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    scorer = scorer_of(FIELDS, {"item", "tags"}, "causal", depth=1)
    whole, encoder = scorer.bundle, scorer.bundle.encoder
    reference = reference_of(encoder, scorer.encode(LOG), scorer.predict(LOG))
    write_bundle(tmp_path / "bundle", with_golden(replace(whole, reference=reference)))
    return tmp_path / "bundle"


def sealed(bundle: Path) -> None:
    """Make sizes and checksums right, as whoever can write a bundle can."""
    manifest = json.loads((bundle / MANIFEST).read_text())
    for name in manifest["files"]:
        data = bundle / name
        manifest["files"][name] = {"bytes": data.stat().st_size, "sha256": digest(data)}
    manifest.pop(SECRET, None)
    (bundle / MANIFEST).write_text(json.dumps(manifest))


def refused(bundle: Path, name: str) -> str:
    with pytest.raises(dagfm.InputError) as error:
        dagfm.load(bundle)
    assert str(bundle / name) in str(error.value)
    return str(error.value)


def changed(bundle: Path, name: str, change: Callable[[Any], Any]) -> None:
    value = json.loads((bundle / name).read_text())
    found = change(value)
    (bundle / name).write_text(json.dumps(value if found is None else found))


def put(*path: str | int, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        for key in path[:-1]:
            value = value[key]
        value[path[-1]] = to

    return change


def field(name: str, key: str, to: Any) -> Callable[[Any], None]:
    def change(value: Any) -> None:
        (one,) = (one for one in value["schema"]["fields"] if one["name"] == name)
        one[key] = to

    return change


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("calibration.json", lambda _: []),
        ("calibration.json", lambda value: value.pop("scale") and None),
        ("calibration.json", put("shift", to="x")),
        ("calibration.json", put("scale", to=float("inf"))),
        ("golden.json", lambda _: 5),
        ("golden.json", put("columns", "user", to=["u1"])),
        ("golden.json", put("probabilities", 0, to="x")),
        ("reference.json", put("fields", "nobody", to=[])),
        ("reference.json", put("fields", "price", to=[])),
        ("reference.json", put("fields", "user", "rows", 0, to=-1)),
        ("reference.json", put("fields", "user", "cells", to=10**30)),
        ("encoder.json", put("scales", "price", "mean", to=[])),
        ("encoder.json", put("scales", "price", "std", 0, to=0)),
        ("encoder.json", put("scales", "price", "std", 0, to=10**400)),
        ("encoder.json", put("bins", "amount", to=[float("nan")])),
        ("encoder.json", field("user x item", "hash", 1 << 64)),
        ("encoder.json", field("tags", "max_length", (1 << 63) + 5)),
        ("encoder.json", field("tags", "\ud800", 1)),
        ("encoder.json", put("schema", "\ud800", to=1)),
        ("golden.json", put("columns", "\ud800", to=[])),
        ("encoder.json", field("user", "vocabulary", "")),
    ],
)
def test_json_that_says_something_else_is_refused(bundle: Path, name: str, change: Callable[[Any], Any]) -> None:
    changed(bundle, name, change)
    sealed(bundle)
    refused(bundle, name)


@pytest.mark.parametrize(
    "change",
    [
        lambda value: value.pop("network") and None,
        put("network", "type", to="x"),
        put("network", "depth", to="1"),
        put("network", "connect", to=None),
        put("network", "hidden", to=3),
        put("files", "calibration.json", to=[1]),
        put("files", "calibration.json", to={}),
        put("files", "a\0b", to={"bytes": 1, "sha256": ""}),
        put("files", "../outside", to={"bytes": 1, "sha256": ""}),
        lambda value: value["files"].pop("encoder.json") and None,
        lambda value: value["files"].pop("vocabulary/000.parquet") and None,
        lambda value: value.update({SECRET: "x", "label": "\ud800"}),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(bundle: Path, change: Callable[[Any], Any]) -> None:
    changed(bundle, MANIFEST, lambda value: value.pop(SECRET) and None)
    changed(bundle, MANIFEST, change)
    refused(bundle, MANIFEST)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 5000])
@pytest.mark.parametrize("name", [MANIFEST, "calibration.json", "reference.json"])
def test_json_that_python_gives_up_on_is_refused(bundle: Path, name: str, text: str) -> None:
    (bundle / name).write_text(text)
    if name != MANIFEST:
        sealed(bundle)
    refused(bundle, name)


def test_links_in_a_circle_are_refused(bundle: Path) -> None:
    (bundle / "calibration.json").unlink()
    (bundle / "calibration.json").symlink_to("calibration.json")
    with pytest.raises(dagfm.InputError, match=r"calibration\.json"):
        dagfm.load(bundle)


def reheaded(path: Path, change: Callable[[Any], Any], spaces: int = 0) -> None:
    """The header of a safetensors file replaced, its data as it was."""
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    value = json.loads(data[8 : 8 + size])
    found = change(value)
    text = found if isinstance(found, bytes) else json.dumps(value).encode() + b" " * spaces
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + size :])


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"[" * 100_000,
        lambda value: value.pop("embedding.weight") and None,
        put("embedding.weight", "dtype", to="I32"),
        put("more", to={"dtype": "F32", "shape": [0, 1 << 70], "data_offsets": [0, 0]}),
        put("more", to={"dtype": "F32", "shape": [0] * 100, "data_offsets": [0, 0]}),
        put("more", to={"dtype": "F32", "shape": [-1, 1], "data_offsets": [0, -4]}),
        put("more", to={"dtype": "F32", "shape": [0.0], "data_offsets": [0, 0]}),
    ],
)
def test_arrays_that_are_none_are_refused(bundle: Path, change: Callable[[Any], Any]) -> None:
    reheaded(bundle / "weights.safetensors", change)
    sealed(bundle)
    refused(bundle, "weights.safetensors")


def test_a_table_of_other_rows_than_the_encoders_is_refused(bundle: Path) -> None:
    arrays = dict(dagfm.load(bundle).bundle.arrays)
    arrays["embedding.weight"] = arrays["embedding.weight"][:-1]
    (bundle / "weights.safetensors").write_bytes(packed(arrays))
    sealed(bundle)
    assert "rows of embeddings" in refused(bundle, "weights.safetensors")


def test_numbers_that_lie_across_their_places_score_the_same(bundle: Path) -> None:
    before = dagfm.load(bundle).predict(LOG)
    reheaded(bundle / "weights.safetensors", lambda value: None, spaces=3)
    sealed(bundle)
    found = dagfm.load(bundle)
    assert all(one.flags.aligned for one in found.bundle.arrays.values())
    assert np.array_equal(found.predict(LOG), before)


def without_indexes(files: dict[str, Any]) -> dict[str, Any]:
    return {name: one for name, one in files.items() if not name.endswith(".index")}


def test_a_vocabulary_with_nulls_is_refused(bundle: Path) -> None:
    for index in bundle.glob("vocabulary/*.index"):
        index.unlink()
    changed(bundle, MANIFEST, lambda value: put("files", to=without_indexes(value["files"]))(value))
    path = bundle / "vocabulary" / "000.parquet"
    table = pl.read_parquet(path)
    table.with_columns(pl.Series("token", [None, *table["token"][1:]])).write_parquet(path)
    sealed(bundle)
    assert "nulls" in refused(bundle, "vocabulary/000.parquet")


@pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")
def test_a_vocabulary_of_other_tokens_than_its_index_is_refused_when_it_is_read(bundle: Path) -> None:
    path = bundle / "vocabulary" / "000.parquet"
    pl.read_parquet(path)[:-1].write_parquet(path)
    sealed(bundle)
    scorer = dagfm.load(bundle)
    with pytest.raises(dagfm.InputError, match=r"000\.parquet: .* tokens, but its index has"):
        _ = scorer.bundle.encoder.vocabularies["user"].tokens


@pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")
def test_an_index_that_tells_of_tokens_beyond_its_own_finds_nothing(bundle: Path) -> None:
    path = bundle / "vocabulary" / "000.index"
    data = np.fromfile(path, np.uint8)
    slots = data[64 : 64 + 16 * int(data[16:24].view(np.uint64)[0])].view(np.uint32).reshape(-1, 4)
    slots[:, 3][slots[:, 3] > 0] = 0xFFFFFFFF
    path.write_bytes(data.tobytes())
    sealed(bundle)
    scorer = dagfm.load(bundle)
    strangers = LOG.with_columns(user=pl.lit("nobody"))
    assert np.array_equal(scorer.predict(LOG), scorer.predict(strangers))
    assert (scorer.encode(LOG).tokens[:, 0] == 0).all()


@pytest.mark.skipif(not versions(), reason="the kernel is not built or switched off")
def test_an_index_that_the_manifest_does_not_list_is_not_read(bundle: Path) -> None:
    expected = dagfm.load(bundle).predict(LOG)
    (bundle / "vocabulary" / "000.index").write_bytes(b"anything")
    changed(bundle, MANIFEST, lambda value: value.pop(SECRET) and None)
    changed(bundle, MANIFEST, lambda value: value["files"].pop("vocabulary/000.index") and None)
    assert np.array_equal(dagfm.load(bundle).predict(LOG), expected)


def test_statistics_of_other_rows_are_refused(tmp_path: Path) -> None:
    scorer = scorer_of({"user", "item"}, {"item"}, "causal", depth=1)
    plain, rate = scorer.bundle.encoder, Field(name="rate", column="user", encode="target", bins=2)
    schema = Schema(fields=(*plain.schema.fields, rate))
    users = plain.vocabularies["user"]
    rows = np.ones(users.rows)
    statistics = Statistics(rows, rows, Beta(1.0, 1.0), Grid(2, 2))
    vocabularies = {**plain.vocabularies, "rate": Vocabulary(users.tokens, users.counts)}
    write_encoder(replace(plain, schema=schema, vocabularies=vocabularies, statistics={"rate": statistics}), tmp_path)
    read_encoder(tmp_path)
    (path,) = tmp_path.glob("statistic/*.parquet")
    pl.read_parquet(path)[:-1].write_parquet(path)
    with pytest.raises(dagfm.InputError, match=r"statistic/\d+\.parquet: \d+ rows, but its field has"):
        read_encoder(tmp_path)
    for key, to in (("form", {"bins": 10**12, "counts": 0}), ("prior", {"clicks": 1, "others": 0})):
        write_encoder(
            replace(plain, schema=schema, vocabularies=vocabularies, statistics={"rate": statistics}), tmp_path
        )
        changed(tmp_path, "encoder.json", put("statistics", "rate", key, to=to))
        with pytest.raises(dagfm.InputError, match=r"encoder\.json: not an encoder"):
            read_encoder(tmp_path)


@pytest.mark.parametrize(("key", "to"), [("served", 5), ("tables", {"a": 1}), ("weight", ["w"])])
def test_a_card_that_says_something_else_is_refused(bundle: Path, key: str, to: Any) -> None:
    changed(bundle, MANIFEST, lambda value: value.pop(SECRET) and None)
    changed(bundle, MANIFEST, put(key, to=to))
    refused(bundle, MANIFEST)
