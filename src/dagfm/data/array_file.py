"""A ``.npy`` file that is written from its start, part by part: several times cheaper than page faults of a map."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class ArrayFile:
    """An array on disk whose shape is known before its rows are. Not for a folder that others read meanwhile."""

    def __init__(self, path: Path, dtype: DTypeLike, shape: tuple[int, ...]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.dtype, self.left = path, np.dtype(dtype), shape[0]
        self._file = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

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
