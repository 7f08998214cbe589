from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from logs import opened

from dagfm.data.log import spool, spooling
from dagfm.errors import InputError

FRAME = pl.DataFrame({"id": ["a", None, "c"], "n": [1, 2, 3], "l": [["x"], [], None]})
ARROW = FRAME.to_arrow(compat_level=pl.CompatLevel.oldest())
SHAPES: dict[str, Callable[[], Any]] = {
    "polars": lambda: FRAME,
    "lazy": FRAME.lazy,
    "pandas": lambda: pd.DataFrame({"id": ["a", None, "c"], "n": [1, 2, 3], "l": [["x"], [], None]}),
    "table": lambda: ARROW,
    "batch": lambda: ARROW.to_batches()[0],
    "dicts": FRAME.to_dicts,
    "columns": lambda: FRAME.to_dict(as_series=False),
    "reader": lambda: pa.RecordBatchReader.from_batches(ARROW.schema, ARROW.to_batches(max_chunksize=2)),
    "generator": lambda: (batch for batch in ARROW.to_batches(max_chunksize=1)),
    "list": lambda: ARROW.to_batches(max_chunksize=2),
    "frames": lambda: iter([FRAME[:1], FRAME[1:].to_dicts()]),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_whatever_a_program_has_becomes_a_log(tmp_path: Path, shape: str) -> None:
    path = spool(SHAPES[shape](), tmp_path, "train")
    assert path.name == "train.parquet"
    assert opened(str(path), tmp_path).frame(["id", "n", "l"]).equals(FRAME)
    assert [file.name for file in (tmp_path / "converted").iterdir()] == [path.parent.name]


def test_equal_rows_are_written_once(tmp_path: Path) -> None:
    path = spool(FRAME, tmp_path, "train")
    written = path.stat().st_mtime_ns
    assert spool(FRAME.clone(), tmp_path, "train") == path
    assert path.stat().st_mtime_ns == written
    assert spool(FRAME[:2], tmp_path, "train") != path


def test_small_batches_make_large_row_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "ROW_GROUP", 4)
    path = spool((ARROW for _ in range(3)), tmp_path, "train")
    assert [pq.read_metadata(path).row_group(group).num_rows for group in range(3)] == [4, 4, 1]


def test_what_is_refused(tmp_path: Path) -> None:
    for nothing in (FRAME[:0], iter([]), [], iter([FRAME[:0]])):
        with pytest.raises(InputError, match="train: no rows"):
            spool(nothing, tmp_path, "train")
    with pytest.raises(InputError, match="train: got int, expected a polars"):
        spool(3, tmp_path, "train")
    with pytest.raises(InputError, match="train: table 2: got int, expected a polars"):
        spool(iter([FRAME, 3]), tmp_path, "train")
    with pytest.raises(InputError, match="train: table 2 has the columns id, n; expected id, n, l, as in the first"):
        spool(iter([FRAME, FRAME.drop("l")]), tmp_path, "train")
    with pytest.raises(InputError, match="train: table 2: column 'n' is text, but int64 in the first"):
        spool(iter([FRAME, FRAME.with_columns(n=pl.lit("x"))]), tmp_path, "train")
    assert not any((tmp_path / "converted").iterdir())


def test_tables_that_agree_but_for_widths(tmp_path: Path) -> None:
    narrow = FRAME.with_columns(pl.col("n").cast(pl.Int8), id=pl.lit(None))
    path = spool(iter([FRAME, narrow.select("n", "l", "id")]), tmp_path, "train")
    assert opened(str(path), tmp_path).frame(["id", "n"]).rows()[3:] == [(None, 1), (None, 2), (None, 3)]
