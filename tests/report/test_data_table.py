"""The section of a report on the click log: Markdown that holds, whatever the data's own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from dagfm.data.describe import describe
from dagfm.report.data_table import FIELD_HEADER, data_table, field_rows, pair_rows


def test_tables_have_a_cell_for_every_column(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows = 600
    frame = pl.DataFrame(
        {
            "click": random.integers(0, 2, rows),
            "user|id": random.integers(0, 50, rows),
            "item`s": [f"<b>{n}|" for n in random.integers(0, 60, rows)],
            "price": [None if n % 9 == 0 else n / 7 for n in range(rows)],
            "tags": [["a", "b"][: n % 3] for n in range(rows)],
            "ts": np.arange(rows) * 3600 + 1_700_000_000,
        }
    )
    frame.write_parquet(tmp_path / "log.parquet")
    told = describe(str(tmp_path / "log.parquet"), "click")
    lines = data_table(told)
    tables = [line for line in lines if line.startswith("|")]
    bare = [line.replace("\\|", "").replace("\\\\", "") for line in tables]
    assert bare[0].count("|") == len(FIELD_HEADER) + 1
    assert all(line.count("|") == len(FIELD_HEADER) + 1 for line in bare[: 2 + len(told["fields"])])
    assert r"user\|id" in "".join(lines) and r"\<b>" in "".join(lines)
    assert any(line.startswith("| time |") for line in lines)
    assert {len(row) for row in field_rows(told)} == {len(FIELD_HEADER)}
    assert pair_rows(told)[0][0] == "user|id x item`s"
    assert any(row[0] == "price" and "median" in row[-1] for row in field_rows(told))
    assert any(row[0] == "tags" and "0 to 2 items" in row[-1] for row in field_rows(told))
