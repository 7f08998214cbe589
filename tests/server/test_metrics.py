"""Figures that workers share through files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dagfm.server.metrics import reserve
from dagfm.server.settings import MULTIPROCESS


def test_their_disk_space_is_taken_beforehand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with holes is filled through mapped memory, which on a full disk ends the process (SIGBUS)."""
    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    before = tmp_path / f"counter_{os.getpid()}.db"
    before.write_bytes(b"of a worker that had the same number")
    reserve()
    assert before.read_bytes() == b"of a worker that had the same number"
    for kind in ("gauge_livesum", "histogram"):
        found = (tmp_path / f"{kind}_{os.getpid()}.db").stat()
        assert found.st_size >= 1 << 16, "no smaller than the client would make it"
        assert 512 * found.st_blocks >= found.st_size


def test_they_are_the_files_that_the_client_uses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus_client import mmap_dict, values

    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    reserve()
    names = {path.name for path in tmp_path.iterdir()}
    made = values.MultiProcessValue()
    for kind, mode in (("counter", ""), ("histogram", ""), ("gauge", "livesum")):
        one = made(kind, f"figure_{kind}", f"figure_{kind}", (), (), "", mode)
        one.inc(3.0)
        assert one.get() == 3.0
    assert {path.name for path in tmp_path.iterdir()} == names
    found = mmap_dict.MmapedDict.read_all_values_from_file(str(tmp_path / f"counter_{os.getpid()}.db"))
    assert [value for _, value, *_ in found] == [3.0]
