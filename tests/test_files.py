"""Durable files: whole or not at all; sealed directories: every byte vouched for."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from dagfm.errors import InputError
from dagfm.files import MANIFEST, digest, fingerprint, open_sealed, read_json, replacing, seal, write_bytes, write_json


def test_a_file_appears_with_its_folders(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b", b"new")
    assert (tmp_path / "a" / "b").read_bytes() == b"new"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_the_old_file_stays_when_the_writer_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError, match="halfway"), replacing(path) as temporary:
        temporary.write_bytes(b"ne")
        raise RuntimeError("halfway")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_file_stays_when_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as failed:
        write_bytes(path, b"new")
    assert failed.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_json_round_trip_and_refusals(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"größe": [1, 0.5, None]})
    assert read_json(path) == {"größe": [1, 0.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path) == {"größe": [1, 0.5, None]}
    path.write_bytes(b'{"a": ')
    with pytest.raises(InputError, match=r"a\.json: not valid JSON"):
        read_json(path)
    with pytest.raises(InputError, match=r"b\.json: no such file"):
        read_json(tmp_path / "b.json")


def test_fingerprints_depend_on_values_not_on_order() -> None:
    assert fingerprint({"a": 1, "b": [1.5, "é"]}) == fingerprint({"b": [1.5, "é"], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})


@pytest.fixture
def sealed(tmp_path: Path) -> Path:
    directory = tmp_path / "bundle"
    write_bytes(directory / "weights", b"12345")
    write_bytes(directory / "vocabulary" / "user", b"abc")
    seal(directory, "bundle", 2, ["weights", "vocabulary/user"], {"rows": 7})
    return directory


def test_a_sealed_directory_opens_with_its_facts(sealed: Path) -> None:
    manifest = open_sealed(sealed, "bundle", 2)
    assert (manifest["kind"], manifest["format"], manifest["rows"]) == ("bundle", 2, 7)
    assert list(manifest["files"]) == ["vocabulary/user", "weights"]
    assert manifest["files"]["weights"] == {"bytes": 5, "sha256": digest(sealed / "weights")}
    assert open_sealed(sealed, "bundle", 3)["format"] == 2


def _edit(directory: Path, change: Callable[[dict[str, object]], object], *, whole: bool = False) -> None:
    """Change the manifest; unless ``whole``, without the line that would tell of it, as somebody with intent would."""
    manifest = json.loads((directory / MANIFEST).read_text())
    if not whole:
        del manifest["fingerprint of this manifest"]
    change(manifest)
    (directory / MANIFEST).write_text(json.dumps(manifest))


def _escape(directory: Path) -> None:
    (directory.parent / "outside").write_bytes(b"12345")
    _edit(directory, lambda manifest: manifest["files"].update({"../outside": manifest["files"]["weights"]}))  # type: ignore[attr-defined,index]


def _escape_by_link(directory: Path) -> None:
    (directory.parent / "outside").write_bytes(b"12345")
    (directory / "weights").unlink()
    (directory / "weights").symlink_to(directory.parent / "outside")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda d: (d / "weights").unlink(), "weights: missing; the bundle is incomplete"),
        (lambda d: (d / "weights").write_bytes(b"123"), "weights: 3 bytes, expected 5; the bundle is truncated"),
        (lambda d: (d / "weights").write_bytes(b"12346"), "weights: checksum differs"),
        (lambda d: (d / MANIFEST).unlink(), "not a bundle: it has no manifest.json"),
        (lambda d: (d / MANIFEST).write_text("{"), "manifest.json: not valid JSON"),
        (lambda d: (d / MANIFEST).write_text("[]"), "expected a bundle, found something else"),
        (lambda d: _edit(d, lambda m: m.update(kind="checkpoint")), "expected a bundle, found checkpoint"),
        (lambda d: _edit(d, lambda m: m.update(format=3)), "bundle format 3, but this dagfm reads up to 2; upgrade"),
        (lambda d: _edit(d, lambda m: m.pop("format")), "bundle format None"),
        (lambda d: _edit(d, lambda m: m.update(rows=8), whole=True), "manifest.json: its text differs"),
        (lambda d: _edit(d, lambda m: m.pop("rows"), whole=True), "manifest.json: its text differs"),
        (_escape, "'../outside' points outside the bundle"),
        (_escape_by_link, "'weights' points outside the bundle"),
    ],
)
def test_damage_is_told(sealed: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(sealed)
    with pytest.raises(InputError) as refused:
        open_sealed(sealed, "bundle", 2)
    assert message in str(refused.value)
    assert str(sealed) in str(refused.value)


def test_a_directory_is_not_sealed_before_its_files_are_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        seal(tmp_path, "bundle", 1, ["weights"], {})
    assert not (tmp_path / MANIFEST).exists()
