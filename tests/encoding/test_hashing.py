from zlib import crc32

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dagfm.encoding.hashing import hashed, hashed_numbers
from dagfm.schema import FIRST, MISSING


@given(st.lists(st.none() | st.text(max_size=5)), st.integers(1, 50))
def test_any_text_has_a_row(texts: list[str | None], size: int) -> None:
    ids = hashed(pl.Series(texts, dtype=pl.String), size)
    expected = [MISSING if text is None else FIRST + crc32(text.encode()) % size for text in texts]
    assert ids.tolist() == expected and ids.dtype == np.int32


def test_rows_never_change_between_versions() -> None:
    assert hashed(pl.Series(["", "a", "é"]), 1000).tolist() == [2, 909, 328]
    assert hashed_numbers(np.array([0, 1, 2**62]), 1000).tolist() == [2, 606, 74]


def test_numbers_spread_evenly() -> None:
    ids = hashed_numbers(np.arange(100_000), 100)
    counts = np.bincount(ids, minlength=FIRST + 100)[FIRST:]
    assert counts.min() > 850 and counts.max() < 1150
