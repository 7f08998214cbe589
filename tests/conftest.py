"""What every test runs under."""

from __future__ import annotations

import os

from hypothesis import settings

# Before torch is imported: two threads a process stall for seconds on a busy two-core machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A deadline measures the machine's load, and speed is never asserted in a test.
settings.register_profile("dagfm", deadline=None)
settings.load_profile("dagfm")
