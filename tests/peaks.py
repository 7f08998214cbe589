"""How much memory a process of its own needs at its peak."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WATCH = """
import sys, threading, time
from pathlib import Path

peak, over = 0, False
def watch():
    global peak
    while not over:
        status = Path("/proc/self/status").read_text()
        peak = max(peak, int(status.partition("RssAnon:")[2].split()[0]) * 1024)
        time.sleep(0.005)

threading.Thread(target=watch, daemon=True).start()
"""

needs_proc = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux tells anonymous memory apart"
)


def peak_of(work: str, *arguments: str | Path) -> int:
    """Bytes of anonymous memory at the peak of the code ``work``, to which ``arguments`` are sys.argv[1:]."""
    command = [sys.executable, "-c", f"{WATCH}{work}\nover = True\nprint(peak)", *map(str, arguments)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
