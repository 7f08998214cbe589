"""Arrays on disk: as NumPy writes them, whole or in parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dagfm.data.array_files import write_array, write_column


def test_an_array_is_written_as_numpy_does(tmp_path: Path) -> None:
    for array in (
        np.arange(7, dtype=np.int32),
        np.zeros((5, 0), np.float32),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.array(3.5),
    ):
        write_array(tmp_path / "ours.npy", array)
        np.save(tmp_path / "theirs.npy", np.ascontiguousarray(array))
        assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()


def test_a_column_is_written_in_parts(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    values = np.arange(10)
    write_column(path, np.float32, 10, (values[start : start + 4] for start in range(0, 10, 4)))
    found = np.load(path, allow_pickle=False)
    assert found.dtype == np.float32
    assert np.array_equal(found, values)
    with pytest.raises(AssertionError, match="6 values, 10 were announced"):
        write_column(path, np.float32, 10, [values[:6]])
    assert np.array_equal(np.load(path), values)
    write_column(path, np.int32, 0, [])
    assert np.load(path).shape == (0,)
