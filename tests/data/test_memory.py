"""What preparation holds in memory does not grow with the rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from peaks import needs_proc, peak_of

from dagfm.data.simulate import simulate

PREPARE = """
from dagfm.config import load_config
from dagfm.data import prepare as preparing

preparing.prepare(load_config(Path(sys.argv[1])), Path(sys.argv[1]).parent)
"""


@pytest.mark.slow
@needs_proc
def test_memory_is_flat(tmp_path: Path) -> None:
    peaks = []
    for rows in (1_000_000, 10_000_000, 30_000_000):
        log = simulate(tmp_path / str(rows), rows=rows, fields=20, ids=50_000, floats=5)
        peaks.append(peak_of(PREPARE, log.config))
    assert max(peaks) < 1.15 * min(peaks)
