"""Arrays written to ``.npy`` files, whole or part by part: several times cheaper than page faults of a map."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dagfm.files import replacing


class ArrayFile:
    """An array on disk whose shape is known before its rows are. Not for a folder that others read meanwhile."""

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.dtype, self.left = path, np.dtype(dtype), shape[0]
        self._file = path.open("wb")
        _begin(self._file, self.dtype, shape)

    def append(self, rows: NDArray[Any]) -> None:
        """Write the next rows. Raises OSError naming the file where the disk is full."""
        try:
            self._file.write(np.ascontiguousarray(rows, self.dtype).data)
        except OSError as error:
            error.filename = str(self.path)
            raise
        self.left -= len(rows)

    def close(self, *, durable: bool = True) -> None:
        """End it, so that a power cut does not lose it where it is to be ``durable``; all rows must be there."""
        assert self.left == 0, f"{self.path}: {self.left} rows were announced and not written"
        self._file.flush()
        if durable:
            os.fsync(self._file.fileno())
        self._file.close()


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write ``array`` as ``.npy``, durably."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        array = np.ascontiguousarray(array)
        # Not numpy.save: when the disk is full, its error does not say so.
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
        file.write(array.data)


def write_column(path: Path, dtype: DTypeLike, length: int, parts: Iterable[NDArray[Any]]) -> None:
    """Write ``parts``, ``length`` values in all, as one ``.npy`` (length,), durably, holding one part at a time."""
    # Not a memory map: when the disk is full, that kills the process instead of raising.
    written = 0
    with replacing(path) as temporary, temporary.open("wb") as file:
        _begin(file, np.dtype(dtype), (length,))
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype).data)
            written += len(part)
        assert written == length, f"{path}: {written} values, {length} were announced"


def _begin(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Write what comes before the numbers of an array in rows."""
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
