"""Figures that workers share through files: never short of disk space, and counted when a worker is gone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dagfm.server.figures import bury, reserve
from dagfm.server.settings import MULTIPROCESS


def test_their_disk_space_is_taken_beforehand(tmp_path: Path) -> None:
    """A file with holes is filled through mapped memory, which on a full disk ends the process (SIGBUS)."""
    before = tmp_path / f"counter_{os.getpid()}.db"
    before.write_bytes(b"of a worker that had the same number")
    reserve(tmp_path)
    assert before.read_bytes() == b"of a worker that had the same number"
    for kind in ("gauge_livesum", "histogram"):
        found = (tmp_path / f"{kind}_{os.getpid()}.db").stat()
        assert found.st_size >= 1 << 16, "no smaller than the client would make it"
        assert 512 * found.st_blocks >= found.st_size


def test_a_worker_that_is_gone_has_counted_and_serves_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from prometheus_client import CollectorRegistry, generate_latest, multiprocess, values

    monkeypatch.setenv(MULTIPROCESS, str(tmp_path))
    reserve(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    made = values.MultiProcessValue()
    for kind, mode in (("counter", ""), ("histogram", ""), ("gauge", "livesum")):
        made(kind, f"a_{kind}", f"a_{kind}_total" if kind == "counter" else f"a_{kind}", (), (), "", mode).inc(3.0)
    assert {path.name for path in tmp_path.iterdir()} == names, "the client uses what is reserved"

    def page() -> list[str]:
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)
        return [line for line in generate_latest(registry).decode().splitlines() if line[0] != "#"]

    assert "a_counter_total 3.0" in page()
    assert "a_gauge 3.0" in page()
    bury(tmp_path, os.getpid())
    assert "a_counter_total 3.0" in page()
    assert not any("gauge" in line for line in page())
    left = list(tmp_path.iterdir())
    assert len(left) == 2
    assert max(path.stat().st_size for path in left) < 1000


def test_one_that_counted_nothing_is_no_trouble(tmp_path: Path) -> None:
    bury(tmp_path, os.getpid())
    reserve(tmp_path)
    bury(tmp_path, os.getpid())
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 100
