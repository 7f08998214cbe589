"""What batch scoring holds in memory does not grow with the rows."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from clicks import Finished, click_log
from peaks import needs_proc, peak_of

PREDICT = """
from dagfm.batch.predict import Task, predict_file
from dagfm.config.files import FileOptions
from dagfm.progress import LoggedProgress

task = Task(Path(sys.argv[1]), sys.argv[2], FileOptions(), {}, ("user", "price"))
predict_file(task, Path(sys.argv[3]), LoggedProgress(), print)
"""


@pytest.mark.slow
@needs_proc
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_memory_is_flat(finished: Finished, tmp_path: Path, suffix: str) -> None:
    frame, peaks = click_log(100_000, seed=1).to_arrow(), []
    for times in (10, 80):
        rows = tmp_path / f"{times}.parquet"
        with pq.ParquetWriter(rows, frame.schema) as writer:
            for _ in range(times):
                writer.write_table(frame)
        peaks.append(peak_of(PREDICT, finished.bundle, rows, tmp_path / f"scores.{suffix}"))
    assert max(peaks) < 1.15 * min(peaks)
