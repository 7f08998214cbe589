"""What preparation holds in memory does not grow with the rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dagfm.data.simulate import simulate

SCRIPT = """
import sys, threading, time
from pathlib import Path
from dagfm.config import load_config
from dagfm.data import prepare as preparing

peak, over = 0, False
def watch():
    global peak
    while not over:
        status = Path("/proc/self/status").read_text()
        peak = max(peak, int(status.partition("RssAnon:")[2].split()[0]) * 1024)
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
preparing.prepare(load_config(Path(sys.argv[1])), Path(sys.argv[1]).parent)
over = True
print(peak)
"""


def peak_of(rows: int, folder: Path) -> int:
    """Bytes of anonymous memory at the peak of preparing ``rows`` rows with the same ids."""
    log = simulate(folder / str(rows), rows=rows, fields=20, ids=50_000, floats=5)
    found = subprocess.run([sys.executable, "-c", SCRIPT, str(log.config)], capture_output=True, text=True, check=True)
    return int(found.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart")
def test_memory_is_flat(tmp_path: Path) -> None:
    peaks = [peak_of(rows, tmp_path) for rows in (1_000_000, 10_000_000, 30_000_000)]
    assert max(peaks) < 1.15 * min(peaks)
