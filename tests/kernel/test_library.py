"""Which library is taken: that of these sources, and none otherwise."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest

from dagfm.kernel import library


@pytest.fixture
def found(tmp_path, monkeypatch):
    """What ``library`` finds in a folder of its own, and what it says."""
    there = Path(library.__file__).parent
    monkeypatch.setattr(library, "__file__", str(tmp_path / "library.py"))
    monkeypatch.delenv(library.SWITCH, raising=False)
    return tmp_path, there, library.library.__wrapped__


@pytest.mark.skipif(not library.versions(), reason="the kernel is not built or switched off")
def test_a_library_of_other_sources_is_not_taken(found, caplog):
    folder, there, look = found
    for path in there.glob("native*"):
        shutil.copy(path, folder)
    assert look() is not None
    shutil.copytree(there / "source", folder / "source")
    assert look() is not None
    (folder / "source" / "call.h").write_text("/* another one */")
    with caplog.at_level(logging.WARNING):
        assert look() is None
    assert "built from other sources (install dagfm again)" in caplog.text


def test_without_a_library_and_with_one_that_cannot_be_opened_it_is_said_what_is_slower(found, caplog):
    folder, _, look = found
    with caplog.at_level(logging.WARNING):
        assert look() is None
        (folder / f"native{library.EXTENSION_SUFFIXES[0]}").write_text("no library")
        assert look() is None
    missing, damaged = (record.getMessage() for record in caplog.records)
    assert "is missing" in missing
    assert "cannot be opened" in damaged
    assert all("several times slower" in text for text in (missing, damaged))


def test_a_library_without_pythons_headers_reads_no_dicts_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(library, "library", object)
    with caplog.at_level(logging.WARNING):
        assert library.dict_reader.__wrapped__() is None
    assert "Python.h was missing" in caplog.text
    monkeypatch.setattr(library, "library", lambda: None)
    assert library.dict_reader.__wrapped__() is None
