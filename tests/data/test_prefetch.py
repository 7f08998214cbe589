"""What is announced to the system covers what is then read, and is not much more."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagfm.data import prefetch as prefetching
from dagfm.data.mapped import mapped
from dagfm.data.prefetch import prefetch
from dagfm.data.shuffle import BLOCK
from dagfm.encoding.rows import Ragged, Rows

N = 5000


def opened(folder: Path) -> Rows:
    lengths = np.arange(N) % 4 + 1
    arrays = {
        "tokens": np.zeros((N, 39), np.int32),
        "floats": np.zeros((N, 3), np.float32),
        "offsets": np.concatenate([[0], np.cumsum(lengths)]),
        "values": np.zeros(lengths.sum(), np.int32),
    }
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    maps = {name: mapped(folder / f"{name}.npy") for name in arrays}
    return Rows(maps["tokens"], maps["floats"], (Ragged(maps["offsets"], maps["values"]),))


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    return opened(tmp_path_factory.mktemp("rows"))


@given(st.lists(st.integers(0, N - 1), min_size=1, max_size=60))
def test_the_pages_of_the_rows_are_announced_and_few_others(rows: Rows, chosen: list[int]) -> None:
    advised: dict[int, np.ndarray] = {}

    def advise(array: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> None:
        pages = np.zeros(len(array) + 1, bool)
        for start, end in zip(starts, ends, strict=True):
            pages[start:end] = True
        advised[id(array)] = pages

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefetching, "_will_need", advise)
        prefetch(rows, np.array(chosen))
    needed = advised[id(rows.tokens)]
    assert needed[chosen].all()
    assert needed.sum() <= BLOCK * len(set(chosen))
    (sequence,) = rows.sequences
    for row in chosen:
        assert advised[id(sequence.values)][sequence.offsets[row] : sequence.offsets[row + 1]].all()


def test_a_map_takes_the_advice_to_its_last_row_and_memory_needs_none(rows: Rows) -> None:
    assert isinstance(prefetching._mapping(rows.tokens), mmap.mmap)
    assert isinstance(prefetching._mapping(rows.tokens[3:].reshape(-1)), mmap.mmap)
    prefetch(rows, np.arange(N))
    prefetch(rows, np.array([0, N - 1]))
    prefetch(rows, np.zeros(0, np.int64))
    copy = rows.take(np.arange(N))
    assert prefetching._mapping(copy.tokens) is None
    prefetch(copy, np.arange(N))
