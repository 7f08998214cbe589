"""Smaller tables are the nearest there are, and a bundle may hold one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from clicks import Finished

import dagfm
from dagfm.serving.bundle import write_bundle
from dagfm.serving.quantised import KINDS, expanded, quantised

ROWS = np.random.default_rng(0).normal(size=(500, 16)).astype(np.float32) * np.geomspace(1e-6, 1e3, 500)[:, None]


def test_numbers_are_the_nearest() -> None:
    table = ROWS.astype(np.float32)
    assert np.array_equal(expanded(quantised(table, "float32")), table)
    halves = expanded(quantised(table, "float16"))
    assert (np.abs(halves - table) <= np.abs(table) * 2**-11 + 2**-25).all()
    whole = quantised(table, "int8")
    assert whole.rows.dtype == np.int8
    assert whole.scales is not None
    largest = np.abs(table).max(axis=1)
    # Half a step, of a size that is a half float: those below 6e-5 are coarse themselves.
    assert (np.abs(expanded(whole) - table).max(axis=1) <= largest / 127 * 0.501 + 2**-25).all()


def test_rows_of_zeros_and_large_numbers() -> None:
    table = np.array([[0, 0, 0], [1e-30, -1e-30, 0], [7e4, -1e6, 1], [8e6, 1, 0]], np.float32)
    for kind in ("float16", "int8"):
        found = expanded(quantised(table, kind))
        assert np.isfinite(found).all()
        assert not found[:2].any()
    assert found[3, 0] == pytest.approx(8e6, rel=0.01)


def test_another_kind_is_refused() -> None:
    with pytest.raises(dagfm.InputError, match="expected float32, float16, int8"):
        quantised(ROWS.astype(np.float32), "int4")


@pytest.mark.parametrize("kind", KINDS)
def test_a_bundle_with_a_smaller_table_scores_nearly_the_same(finished: Finished, tmp_path: Path, kind: str) -> None:
    bundle, rows = dagfm.load(finished.bundle).bundle, pl.read_parquet(finished.test_file)
    table = quantised(bundle.arrays["embedding.weight"], kind)
    arrays = {**bundle.arrays, "embedding.weight": table.rows}
    if table.scales is not None:
        arrays["embedding.scales"] = table.scales
    write_bundle(tmp_path / "small", replace(bundle, arrays=arrays))
    expected, found = (dagfm.load(path).predict(rows) for path in (finished.bundle, tmp_path / "small"))
    assert np.abs(found - expected).max() <= {"float32": 0, "float16": 2e-3, "int8": 2e-2}[kind]
