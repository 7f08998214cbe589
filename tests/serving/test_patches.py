"""Patches: the newer bundle to the byte, small where little changed, and nothing at all where anything is wrong."""

from __future__ import annotations

import hashlib
import json
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from clicks import Finished, Silent, click_log, small_config
from typer.testing import CliRunner

import dagfm
from dagfm.cli.app import app
from dagfm.encoding.encoder import Encoder
from dagfm.encoding.vocabulary import Vocabulary
from dagfm.files import MANIFEST
from dagfm.kernel.library import chosen_version
from dagfm.schema import Field, Schema
from dagfm.serving import patches
from dagfm.serving.bundle import Bundle, read_bundle, write_bundle
from dagfm.serving.patches import applying, vocabularies
from dagfm.serving.patches.container import Contents, PatchReader, PatchWriter


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def ways(patch: Path) -> dict[str, str]:
    with patch.open("rb") as file:
        return dict(PatchReader(file, patch).contents.files)


def changed(bundle: Bundle, **arrays: Callable[[np.ndarray], np.ndarray]) -> Bundle:
    """With some arrays replaced; ``__`` stands for the dot in their names."""
    own = {name.replace("__", "."): change for name, change in arrays.items()}
    return replace(bundle, arrays={name: own.get(name, np.array)(array) for name, array in bundle.arrays.items()})


def grown(bundle: Bundle) -> Bundle:
    """After more clicks: users in another order, one gone, three new; known tokens keep their vectors, but for one."""
    old = bundle.encoder
    users = old.vocabularies["user"]
    names = ["newcomer", *users.tokens.to_list()[1:][::-1], "ünïcode 🎈", ""]
    counts = pl.Series(range(len(names), 0, -1), dtype=pl.Int64)
    encoder = Encoder(
        old.schema,
        {**old.vocabularies, "user": Vocabulary(pl.Series(names), counts)},
        old.scales,
        old.bins,
        old.crosses,
        old.statistics,
    )
    older = patches.differences.table_rows(old, encoder)
    table = np.where(older[:, None] < 0, np.float32(0.5), bundle.arrays["embedding.weight"][np.maximum(older, 0)])
    table[7] *= np.float32(1.01)
    return replace(
        bundle, encoder=encoder, arrays={**bundle.arrays, "embedding.weight": table}, indexes={}, golden=None
    )


@pytest.fixture(scope="module")
def old(finished: Finished) -> Path:
    return finished.bundle


@pytest.fixture(scope="module")
def bundle(old: Path) -> Bundle:
    return read_bundle(old)


@pytest.fixture(scope="module")
def new(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grown, and with another network."""
    folder = tmp_path_factory.mktemp("newer") / "bundle"
    write_bundle(folder, changed(grown(bundle), network__head__weight=lambda one: one + np.float32(0.01)))
    return folder


@pytest.fixture(scope="module")
def patch(old: Path, new: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("patch") / "one.patch"
    patches.make(old, new, path)
    return path


@pytest.mark.parametrize("portable", [False, True])
def test_the_result_is_the_newer_bundle_to_the_byte(old: Path, new: Path, tmp_path: Path, portable: bool) -> None:
    found = patches.make(old, new, tmp_path / "p", portable)
    assert found.size == (tmp_path / "p").stat().st_size
    assert found.bundle == sum(map(len, contents(new).values()))
    patches.apply(old, tmp_path / "p", tmp_path / "result")
    assert contents(tmp_path / "result") == contents(new)
    assert dagfm.load(tmp_path / "result", verify=True).predict([{"user": "newcomer"} | ROW]).shape == (1,)
    assert {path.name for path in tmp_path.iterdir()} == {"p", "result"}


ROW: dict[str, Any] = {"group": "x", "item": 3, "tags": "a|b", "price": 1.0, "position": [0.1, 0.2]}


def test_files_are_told_the_shortest_way(patch: Path, old: Path, new: Path, tmp_path: Path) -> None:
    found = ways(patch)
    assert found["weights.safetensors"] == "arrays"
    assert found["vocabulary/000.parquet"] == "vocabulary"
    assert found["vocabulary/001.parquet"] == found["encoder.json"] == found["calibration.json"] == "same"
    if chosen_version():
        assert found["vocabulary/000.index"] == "index"
    patches.make(old, new, tmp_path / "portable", portable=True)
    assert {"vocabulary", "index"}.isdisjoint(ways(tmp_path / "portable").values())


def test_it_is_made_the_same_each_time(patch: Path, old: Path, new: Path, tmp_path: Path) -> None:
    patches.make(old, new, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == patch.read_bytes()


def test_few_changed_rows_make_a_small_patch(bundle: Bundle, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    table = draw.normal(size=(200_000, 16)).astype(np.float32)
    later = table.copy()
    later[draw.choice(len(table), 2000, replace=False)] += np.float32(0.01)
    schema = {"user": Vocabulary(pl.Series(range(199_998)).cast(pl.String), pl.Series([1] * 199_998, dtype=pl.Int64))}
    field = Field(name="user")
    encoder = Encoder(Schema(fields=(field,)), schema)
    for name, weights in (("old", table), ("new", later)):
        one = replace(bundle, encoder=encoder, arrays={"embedding.weight": weights}, golden=None, indexes={})
        write_bundle(tmp_path / name, one)
    found = patches.make(tmp_path / "old", tmp_path / "new", tmp_path / "p")
    assert found.size < 0.02 * found.bundle
    patches.apply(tmp_path / "old", tmp_path / "p", tmp_path / "result")
    assert contents(tmp_path / "result") == contents(tmp_path / "new")


def test_moved_rows_cost_nothing_but_their_places(bundle: Bundle, old: Path, tmp_path: Path) -> None:
    later = grown(bundle)
    write_bundle(tmp_path / "moved", later)
    write_bundle(tmp_path / "drawn", changed(later, embedding__weight=lambda one: one + one.std() * noise(one)))
    moved, drawn = (patches.make(old, tmp_path / name, tmp_path / "p").size for name in ("moved", "drawn"))
    assert moved < drawn - 0.4 * later.arrays["embedding.weight"].nbytes


def noise(array: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).normal(size=array.shape).astype(array.dtype)


@pytest.mark.parametrize("size", [4, 6])
def test_another_shape_other_fields_and_another_network(finished: Finished, tmp_path: Path, size: int) -> None:
    click_log(400, seed=3).write_parquet(tmp_path / "clicks.parquet")
    config = small_config(tmp_path / "clicks.parquet")
    config["embedding"] = {"size": size}
    config["fields"] = [
        {"name": "item", "hash": 9, "side": "candidate"},
        {"name": "user", "type": "token_seq", "separator": "u", "side": "context"},
        {"name": "price", "type": "float", "encode": "quantile", "side": "candidate"},
        {"name": "user_item", "cross": ["item", "price"], "side": "candidate"},
    ]
    (tmp_path / "dagfm.yaml").write_text(yaml.safe_dump(config))
    dagfm.fit(tmp_path / "dagfm.yaml", tmp_path / "run", progress=Silent())
    for start, end in ((finished.run, tmp_path / "run"), (tmp_path / "run", finished.run)):
        patches.make(start, end, tmp_path / "p")
        patches.apply(start, tmp_path / "p", tmp_path / "result")
        assert contents(tmp_path / "result") == contents(end / "bundle")


@pytest.mark.parametrize("kind", ["float16", "int8", "float64"])
def test_arrays_of_every_kind(bundle: Bundle, old: Path, tmp_path: Path, kind: str) -> None:
    """What an export may hold: other number types, an array more, an empty one, one of a single number."""
    more = {"embedding.scale": np.ones(len(bundle.arrays["embedding.weight"]), np.float16)}
    more |= {"network.none": np.zeros((0, 3), np.float32), "network.one": np.array(1.5, kind)}
    for name, factor in (("a", 1), ("b", 2)):
        changes = {"embedding__weight": lambda one, factor=factor: (one * 50 * factor).astype(kind)}
        one = changed(bundle, **changes)
        write_bundle(tmp_path / name, replace(one, arrays={**one.arrays, **(more if name == "b" else {})}))
    for start, end in (("a", "b"), ("b", "a")):
        patches.make(tmp_path / start, tmp_path / end, tmp_path / "p")
        patches.apply(tmp_path / start, tmp_path / "p", tmp_path / "result")
        assert contents(tmp_path / "result") == contents(tmp_path / end)
    with pytest.raises(dagfm.InputError, match=f"'embedding.weight' is float32 there and {kind} here"):
        patches.make(old, tmp_path / "a", tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_a_bundle_is_replaced_in_place(old: Path, new: Path, patch: Path, tmp_path: Path) -> None:
    served = Path(shutil.copytree(old, tmp_path / "served"))
    scorer = dagfm.load(served)
    patches.apply(served, patch, served)
    assert contents(served) == contents(new)
    assert [path.name for path in tmp_path.iterdir()] == ["served"]
    assert scorer.predict([{"user": "u1"} | ROW]).shape == (1,), "what was loaded before goes on"


def test_several_patches_in_a_row(old: Path, new: Path, patch: Path, tmp_path: Path) -> None:
    patches.make(new, old, tmp_path / "back")
    patches.apply(old, patch, tmp_path / "one")
    patches.apply(tmp_path / "one", tmp_path / "back", tmp_path / "two")
    assert contents(tmp_path / "two") == contents(old)


# Refusals ----------------------------------------------------------------------------------------------------------


def refused(old: Path, patch: Path, new: Path, *words: str) -> None:
    before = contents(new.parent)
    with pytest.raises(dagfm.InputError) as error:
        patches.apply(old, patch, new)
    for word in words:
        assert word in str(error.value)
    assert contents(new.parent) == before, "nothing is left behind"


def test_it_is_for_one_bundle_alone(old: Path, new: Path, patch: Path, tmp_path: Path) -> None:
    refused(new, patch, tmp_path / "result", "is for the bundle", "what the patch leads to")
    other = Path(shutil.copytree(old, tmp_path / "other"))
    manifest = json.loads((other / MANIFEST).read_text())
    del manifest["fingerprint of this manifest"]
    (other / MANIFEST).write_text(json.dumps(manifest))
    refused(other, patch, tmp_path / "result", "is for the bundle", "copy the new bundle whole")


def test_a_damaged_base_is_told(old: Path, patch: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(old, tmp_path / "other"))
    data = bytearray((other / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (other / "weights.safetensors").write_bytes(data)
    refused(other, patch, tmp_path / "result", "weights.safetensors: checksum differs")
    with pytest.raises(dagfm.InputError, match=r"weights.safetensors: checksum differs"):
        patches.make(old, other, tmp_path / "p")
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("place", [0, 5, 40, 0.3, 0.6, 0.9, -50, -33, -1])
def test_a_flipped_bit_is_found(old: Path, patch: Path, tmp_path: Path, place: float) -> None:
    data = bytearray(patch.read_bytes())
    data[int(place * len(data)) if isinstance(place, float) else place] ^= 4
    (tmp_path / "p").write_bytes(data)
    refused(old, tmp_path / "p", tmp_path / "result", "patch")


@pytest.mark.parametrize("left", [0, 1, 11, 12, 30, 0.5, -41, -1])
def test_a_cut_file_is_found(old: Path, patch: Path, tmp_path: Path, left: float) -> None:
    data = patch.read_bytes()
    (tmp_path / "p").write_bytes(data[: int(left * len(data)) if isinstance(left, float) else left])
    refused(old, tmp_path / "p", tmp_path / "result", "patch")
    (tmp_path / "p").write_bytes(data + b"more")
    refused(old, tmp_path / "p", tmp_path / "result", "damaged")


def forged(patch: Path, to: Path, **more: Any) -> Path:
    """A patch with a right checksum and other contents."""
    with patch.open("rb") as file:
        reader = PatchReader(file, patch)
        told = reader.contents.model_dump() | more
        parts = []
        while file.tell() < reader._parts_end:
            parts.append(reader.part())
    with to.open("wb") as file:
        writer = PatchWriter(file)
        for part in parts:
            writer.part(part)
        writer.finish(Contents.model_construct(**told))
    return to


@pytest.mark.parametrize("name", ["../outside", "/tmp/outside", "a/../../outside", "", ".", MANIFEST])
def test_no_path_leads_outside(old: Path, patch: Path, tmp_path: Path, name: str) -> None:
    forged(patch, tmp_path / "p", files={name: "whole", **ways(patch)})
    refused(old, tmp_path / "p", tmp_path / "within" / "result", "no place for a file")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"format": 2}, "upgrade"),
        ({"files": {"a": "by magic"}}, "upgrade"),
        ({"files": {"a": "whole"}}, "other files than its manifest"),
        ({"result": "0" * 64}, "fewer parts"),
        ({"base": 5}, "upgrade"),
    ],
)
def test_forged_contents_are_refused(old: Path, patch: Path, tmp_path: Path, more: dict[str, Any], words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic's, of contents that its own rules forbid
        forged(patch, tmp_path / "p", **more)
    refused(old, tmp_path / "p", tmp_path / "result", words)


def test_a_part_asks_for_no_more_memory_than_it_may(old: Path, tmp_path: Path) -> None:
    told = Contents(
        base=hashlib.sha256((old / MANIFEST).read_bytes()).hexdigest(), result="", files={}, dagfm="", polars=""
    )
    text = told.model_dump_json().encode()
    data = b"dagfm patch\x00" + struct.pack("<II", 2**32 - 1, 4) + b"1234" + text + struct.pack("<Q", len(text))
    (tmp_path / "p").write_bytes(data + hashlib.sha256(data).digest())
    refused(old, tmp_path / "p", tmp_path / "result", "a part of 4294967295 bytes")


def sealed(path: Path, told: Contents, *parts: bytes) -> Path:
    """A patch of these parts with a right checksum."""
    with path.open("wb") as file:
        writer = PatchWriter(file)
        for part in parts:
            writer.part(part)
        writer.finish(told)
    return path


def told_of(old: Path, manifest: bytes, files: dict[str, Any]) -> Contents:
    base, result = (hashlib.sha256(data).hexdigest() for data in ((old / MANIFEST).read_bytes(), manifest))
    return Contents(base=base, result=result, files=files, dagfm="", polars="")


def manifest_of(files: Any) -> bytes:
    return json.dumps({"kind": "bundle", "format": 1, "files": files}).encode()


@pytest.mark.parametrize(
    "manifest",
    [
        b"5",
        b"[" * 100_000,
        b'{"kind": "bundle", "format": 1}',
        manifest_of(5),
        manifest_of({"a": 5}),
        manifest_of({"a": {"bytes": 1}}),
        manifest_of({"a": {"bytes": "1", "sha256": ""}}),
    ],
)
def test_a_manifest_that_is_none_is_refused(old: Path, tmp_path: Path, manifest: bytes) -> None:
    sealed(tmp_path / "p", told_of(old, manifest, {"a": "whole"}), manifest, b"x")
    refused(old, tmp_path / "p", tmp_path / "result", str(tmp_path / "p"), "leads to no whole bundle")


def test_a_vocabulary_that_the_base_lacks_is_not_changed(old: Path, tmp_path: Path) -> None:
    encoder = json.loads((old / "encoder.json").read_text())
    encoder["schema"]["fields"][0]["name"] = "somebody"
    text = json.dumps(encoder).encode()
    sizes = {"encoder.json": {"bytes": len(text), "sha256": ""}, "vocabulary/000.parquet": {"bytes": 1, "sha256": ""}}
    manifest = manifest_of(sizes)
    told = told_of(old, manifest, {"encoder.json": "whole", "vocabulary/000.parquet": "vocabulary"})
    sealed(tmp_path / "p", told, manifest, text)
    refused(old, tmp_path / "p", tmp_path / "result", str(tmp_path / "p"), "changes no vocabulary of the base")


def test_a_small_patch_cannot_ask_for_a_large_bundle(old: Path, patch: Path, new: Path, tmp_path: Path) -> None:
    whole = sum(map(len, contents(new).values())) - (new / MANIFEST).stat().st_size
    patches.apply(old, patch, tmp_path / "fits", most=whole)
    with pytest.raises(dagfm.InputError, match=rf"leads to a bundle of {whole} bytes, at most {whole - 1}"):
        patches.apply(old, patch, tmp_path / "result", most=whole - 1)
    manifest = manifest_of({"a": {"bytes": 1 << 50, "sha256": ""}})
    sealed(tmp_path / "p", told_of(old, manifest, {"a": "whole"}), manifest, *[bytes(1 << 26)] * 4)
    assert (tmp_path / "p").stat().st_size < 1 << 20
    with pytest.raises(dagfm.InputError, match="leads to a bundle of"):
        patches.apply(old, tmp_path / "p", tmp_path / "result", most=1 << 30)
    sealed(tmp_path / "p", told_of(old, b"?", {}), *[b"x" * (1 << 23)] * 3)
    refused(old, tmp_path / "p", tmp_path / "result", "its manifest does not end")


def test_weights_are_as_large_as_the_manifest_says(old: Path, tmp_path: Path) -> None:
    """Not as large as their own header says, which could ask for any memory."""
    header = json.dumps({"network.x": {"dtype": "F32", "shape": [1 << 50], "data_offsets": [0, 1 << 52]}}).encode()
    files = json.loads((old / MANIFEST).read_text())["files"]
    files["weights.safetensors"]["bytes"] = 80
    manifest = manifest_of(files)
    told = told_of(old, manifest, {**dict.fromkeys(files, "same"), "weights.safetensors": "arrays"})
    sealed(tmp_path / "p", told, manifest, struct.pack("<Q", len(header)) + header)
    refused(old, tmp_path / "p", tmp_path / "result", "no file of 80 bytes")


@pytest.mark.parametrize("size", [3, 5])
def test_a_part_of_another_size_than_it_says_is_damaged(old: Path, tmp_path: Path, size: int) -> None:
    packed, told = zlib.compress(b"four"), told_of(old, b"four", {})
    text = told.model_dump_json().encode()
    data = b"dagfm patch\x00" + struct.pack("<II", size, len(packed)) + packed + text + struct.pack("<Q", len(text))
    (tmp_path / "p").write_bytes(data + hashlib.sha256(data).digest())
    refused(old, tmp_path / "p", tmp_path / "result", f"not of the {size} bytes")


def test_what_is_no_bundle_is_not_replaced(old: Path, new: Path, patch: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years")
    refused(old, patch, tmp_path / "mine", "is no bundle")
    refused(old, patch, tmp_path / "mine" / "thesis.txt", "is no bundle")
    refused(old, tmp_path / "nothing", tmp_path / "result", "no such file")
    refused(tmp_path, patch, tmp_path / "result", "not a bundle")
    with pytest.raises(dagfm.InputError, match="lies in the bundle"):
        patches.make(old, new, new / "p")


def test_another_polars_or_no_kernel_is_told(
    old: Path, patch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def otherwise(self: Vocabulary, path: Path) -> None:
        pl.DataFrame({"token": self.tokens, "count": self.counts}).write_parquet(path, compression="lz4")

    with monkeypatch.context() as with_other:
        with_other.setattr(Vocabulary, "write", otherwise)
        refused(old, patch, tmp_path / "result", "written otherwise here", "--portable")
    if chosen_version():
        monkeypatch.setattr(applying, "write_index", lambda *_: False)
        refused(old, patch, tmp_path / "result", "compiled kernel", "--portable")


def test_vocabularies_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabularies, "_STEP", 3)
    letters, none = list("abcdefgh"), pl.Series([], dtype=pl.String)
    kinds = [none, pl.Series(letters), pl.Series([*letters[::-1], "é", ""]), pl.Series(["x", "y"]), pl.Series(["h"])]
    for before in kinds:
        for after in kinds:
            one, two = (Vocabulary(one, pl.Series(range(5, 5 + len(one)), dtype=pl.Int64)) for one in (before, after))
            found = vocabularies.patched_vocabulary(one, vocabularies.vocabulary_parts(one, two).__next__, tmp_path)
            assert found.tokens.to_list() == after.to_list()
            assert found.counts.to_list() == two.counts.to_list()


# Command line ------------------------------------------------------------------------------------------------------


def test_the_command_makes_and_applies(finished: Finished, new: Path, tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["patch", "make", str(finished.run), str(new), "-o", str(tmp_path / "p")])
    assert made.exit_code == 0
    assert "% of the bundle" in made.stderr
    arguments = ["patch", "apply", str(finished.run), str(tmp_path / "p"), "-o", str(tmp_path / "result")]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert contents(tmp_path / "result") == contents(new)
    wrong = CliRunner().invoke(app, ["patch", "apply", str(new), str(tmp_path / "p"), "-o", str(tmp_path / "other")])
    assert wrong.exit_code == 2
    assert "is for the bundle" in wrong.stderr
