"""Fetching out of a wheel: what is copied, what is refused, what is said without a network."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from dagfm.data.catalog import CATALOG, DataSet, find
from dagfm.data.catalog.entry import Wheel
from dagfm.data.catalog.fetch import extract, fetch
from dagfm.errors import DagfmError, InputError

FILES = {"ml-100k.inter": b"i", "ml-100k.user": b"u", "ml-100k.item": b"t"}
SMALL = Wheel("some==1", "some/folder/", {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()})


@pytest.fixture
def dataset(monkeypatch: pytest.MonkeyPatch) -> DataSet:
    """A data set whose files are ``FILES``, and a pip that fails."""
    monkeypatch.setattr(sys, "executable", "false")
    return dataclasses.replace(find("ml-100k"), wheel=SMALL)


def _wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_named_files_and_nothing_else_come_out_of_the_wheel(tmp_path: Path) -> None:
    members = {SMALL.folder + name: data for name, data in FILES.items()}
    wheel = _wheel(tmp_path / "w.whl", {**members, "../evil": b"x", SMALL.folder + "ml-100k.kg": b"x"})
    extract(SMALL, wheel, tmp_path / "data")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == FILES
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [None, b"other"])
def test_another_wheel_is_refused(tmp_path: Path, content: bytes | None) -> None:
    wheel = _wheel(tmp_path / "w.whl", {} if content is None else {SMALL.folder + "ml-100k.inter": content})
    with pytest.raises(DagfmError, match="without a network put"):
        extract(SMALL, wheel, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_filled_directory_is_checked_and_needs_no_network(dataset: DataSet, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    assert [path.name for path in fetch(dataset, tmp_path)] == list(FILES)
    (tmp_path / "ml-100k.user").write_bytes(b"other")
    with pytest.raises(InputError, match=r"ml-100k\.user: not the file expected"):
        fetch(dataset, tmp_path)


def test_without_a_network_it_says_how_to_fill_the_directory(dataset: DataSet, tmp_path: Path) -> None:
    with pytest.raises(DagfmError, match=r"without a network put ml-100k\.inter, ml-100k\.user, ml-100k\.item") as told:
        fetch(dataset, tmp_path / "data")
    assert told.value.exit_code == 1
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("name", [name for name, dataset in CATALOG.items() if dataset.wheel is None])
def test_what_no_registry_has_says_where_it_is_and_on_which_terms(name: str, tmp_path: Path) -> None:
    with pytest.raises(DagfmError, match=f"no package registry has {name}; get it by hand") as told:
        fetch(find(name), tmp_path)
    text = str(told.value)
    assert "https://" in text
    assert "\nTerms: " in text
    assert f"dagfm data recipe {name} --from " in text
    assert told.value.exit_code == 1
