"""What counts as a change of a bundle's files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from clicks import Finished

from dagfm.server.watch import Watch


@pytest.fixture
def place(finished: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished.bundle, tmp_path / "bundle"))


def test_a_change_is_told_once_when_it_stands_still(place: Path) -> None:
    watch = Watch({"m": str(place)})
    assert not watch.changed("m")
    for text in ("half", "whole"):
        (place / "more").write_text(text)
        assert not watch.changed("m"), "who copies may be at it still"
    assert watch.changed("m")
    assert not watch.changed("m")
    shutil.rmtree(place)
    assert [watch.changed("m") for _ in range(3)] == [False, True, False]


def test_what_the_server_puts_there_itself_is_no_change(place: Path) -> None:
    watch = Watch({"m": str(place)})
    (place / "more").write_text("patched")
    watch.know("m")
    assert [watch.changed("m") for _ in range(2)] == [False, False]


def test_what_the_workers_did_not_agree_on_is_looked_at_again(place: Path) -> None:
    watch = Watch({"m": str(place)})
    assert not watch.changed("m")
    watch.doubt("m")
    assert [watch.changed("m") for _ in range(2)] == [True, False]
