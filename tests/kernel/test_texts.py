"""Texts of Python to bytes and back, against pyarrow and against Python itself."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.kernel.library import text_functions
from dagfm.kernel.texts import cut, joined

pytestmark = pytest.mark.skipif(
    text_functions() is None, reason="the kernel is switched off, or built without Python.h"
)

MISSING = st.sampled_from([None, float("nan"), np.float64("nan"), pd.NA])
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.text("abé€𝄞", max_size=3).map(np.str_)


def objects(cells: list[Any]) -> Any:
    made = np.empty(len(cells), object)
    made[:] = cells
    return made


def column(cells: Any) -> Any:
    found = joined(cells, pd.NA)
    assert found is not None
    valid, offsets, data = map(pa.py_buffer, found)
    made = pa.LargeStringArray.from_buffers(len(cells), offsets, data, valid)
    made.validate(full=True)
    return made


@given(st.lists(TEXTS | MISSING, max_size=40))
def test_texts_become_the_column_that_pyarrow_makes_of_them(cells: list[Any]) -> None:
    expected = pa.array([str(cell) if isinstance(cell, str) else None for cell in cells], pa.large_string())
    assert column(objects(cells)).equals(expected)


@given(st.lists(TEXTS | MISSING, min_size=6, max_size=60), st.sampled_from([1, 2, 3, -1, -2]))
def test_cells_need_not_lie_side_by_side(cells: list[Any], step: int) -> None:
    apart = objects(cells)[::step]
    assert column(apart).equals(column(apart.copy()))
    block = objects(cells[:6]).reshape(2, 3)
    assert column(block[:, 1]).equals(column(block[:, 1].copy()))


@pytest.mark.parametrize(
    "cell", [5, 1.5, True, b"a", ["a"], pd.NaT, Decimal("NaN"), np.float32("nan"), "a\ud800", pd.Timestamp(0)], ids=repr
)
def test_of_anything_else_there_are_no_texts(cell: Any) -> None:
    for cells in ([cell], ["a" * 1000, cell], [cell, "a"]):
        assert joined(objects(cells), pd.NA) is None


def test_no_cell_is_kept_and_none_is_lost() -> None:
    """Counted: a reference too many is memory that never comes back, one too few a crash."""
    cells = ["".join(["long", "ascii"]), "é" * 1000, float("nan"), object()]
    before = [sys.getrefcount(cell) for cell in cells]
    for _ in range(50):
        joined(objects(cells[:3]), None)
        joined(objects(cells), None)
    assert [sys.getrefcount(cell) for cell in cells] == before


def test_without_pythons_headers_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagfm.kernel.texts.text_functions", lambda: None)
    assert joined(objects(["a"]), None) is None
    assert cut(b"", 0) is None


def wire(texts: list[str]) -> bytes:
    return b"".join(len(one.encode()).to_bytes(4, "little") + one.encode() for one in texts)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=20))
def test_texts_behind_their_sizes_are_cut(texts: list[str]) -> None:
    assert cut(wire(texts), len(texts)) == texts


@given(st.binary(max_size=40), st.integers(0, 12))
def test_bytes_that_hold_anything_else_are_not_cut(data: bytes, count: int) -> None:
    found = cut(data, count)
    assert found is None or (len(found) == count and wire(found) == data)


@pytest.mark.parametrize(
    ("data", "count"),
    [
        (b"", 1), (b"\0\0\0", 1), (b"\1\0\0\0", 1), (b"\0\0\0\0a", 1), (b"\1\0\0\0\xff", 1), (wire(["a", "b"]), 1),
        (wire(["a"]), 2), (b"\xff\xff\xff\xffa", 1), (b"\0" * 8, 3), (b"\3\0\0\0\xed\xa0\x80", 1), (b"\0" * 8, -1),
    ],
)  # fmt: skip
def test_texts_that_are_cut_end_with_the_bytes(data: bytes, count: int) -> None:
    assert cut(data, count) is None
