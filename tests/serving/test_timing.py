"""The clock of bundles: it runs elsewhere, without torch, on the rows that it is given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from clicks import Finished, click_log

import dagfm
from dagfm.errors import DagfmError
from dagfm.serving import timing


def test_rows_reach_the_other_process_as_they_are(finished: Finished, tmp_path: Path) -> None:
    scorer = dagfm.load(finished.bundle)
    rows = scorer.bundle.encoder.encode(click_log(50))
    timing._write(tmp_path / "rows.npz", rows)
    np.testing.assert_array_equal(
        scorer.score_encoded(timing._read(tmp_path / "rows.npz")), scorer.logits(click_log(50))
    )


def test_bundles_are_timed_in_their_order(finished: Finished) -> None:
    rows = dagfm.load(finished.bundle).bundle.encoder.encode(click_log(50))
    found = timing.time_bundles([finished.bundle, finished.bundle], rows)
    assert len(found) == 2
    for one in found:
        assert one.keys() == {"microseconds_per_row", "rows_per_second"}
        assert min(one.values()) > 0


def test_a_bundle_that_cannot_be_read_is_told(finished: Finished, tmp_path: Path) -> None:
    rows = dagfm.load(finished.bundle).bundle.encoder.encode(click_log(5))
    with pytest.raises(DagfmError, match=r"timing the bundles failed: (?s:.*)not a bundle"):
        timing.time_bundles([tmp_path], rows)


def test_no_torch_is_loaded() -> None:
    script = "import sys, dagfm.serving.timing; print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "False\n"
    )
