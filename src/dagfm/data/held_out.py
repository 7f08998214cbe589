"""What each fold of the training rows adds to a cross's target statistic: recombined rows are told like training rows.

It has a pair of its own, so its statistic is made anew: from all rows but those of one fold, or it would look like a
served row among training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dagfm.data.array_files import write_array, write_column
from dagfm.data.mapped import mapped
from dagfm.encoding.beta import Beta
from dagfm.encoding.rows import Indices, Int32
from dagfm.encoding.statistics import Statistics, told
from dagfm.encoding.values import Float64

FOLDER = "folds"
FILES = ("ids", "clicks", "rows", "folds")
"""Of each statistic: what the folds hold, one after the other, and where each begins and ends with its prior."""


@dataclass(frozen=True, eq=False)
class HeldOut:
    """The random folds of the training rows, and of some statistics what each of them holds."""

    of_row: NDArray[np.uint8]
    """(n,) the fold of each training row."""
    folders: Mapping[str, Path]
    """Where a field's tables lie, by its name."""

    @classmethod
    def open(cls, directory: Path, names: tuple[str, ...]) -> HeldOut | None:
        """What ``directory``, prepared rows of fields ``names``, holds; None where it holds no such tables."""
        folder = directory / FOLDER
        if not folder.exists():
            return None
        found = {name: folder / str(index) for index, name in enumerate(names) if (folder / str(index)).exists()}
        return cls(mapped(folder / "of_row.npy"), found)

    def values(self, name: str, statistics: Statistics, ids: Int32, rows: Indices) -> Float64:
        """``told`` values (m, 2) of a field's source ids (m,), as training ``rows`` (m,) with these ids would have."""
        if name not in self.folders:
            return statistics.values(ids)
        folds = self.of_row[rows]
        found = np.empty((len(ids), 2))
        for fold in np.unique(folds):
            here = np.flatnonzero(folds == fold)
            known, (clicks, counted), prior = self._table(name, int(fold))
            source = ids[here]
            # A fold that training rows are of has at least their ids.
            places = np.minimum(np.searchsorted(known, source), len(known) - 1)
            held = known[places] == source
            own_clicks, own_rows = (np.where(held, one[places], 0.0) for one in (clicks, counted))
            found[here] = told(statistics.clicks[source] - own_clicks, statistics.rows[source] - own_rows, prior)
        return found

    def _table(self, name: str, fold: int) -> tuple[Int32, tuple[Float64, Float64], Beta]:
        """The source ids that a fold holds, ascending, their clicks and rows, and the prior of the other folds."""
        ids, clicks, rows, folds = self._files(name)
        begin, end, *prior = folds[fold]
        here = slice(int(begin), int(end))
        return ids[here], (clicks[here], rows[here]), Beta(*map(float, prior))

    def _files(self, name: str) -> list[NDArray[Any]]:
        if name not in self._opened:
            self._opened[name] = [mapped(self.folders[name] / f"{file}.npy") for file in FILES]
        return self._opened[name]

    @cached_property
    def _opened(self) -> dict[str, list[NDArray[Any]]]:
        return {}


class HeldOutWriter:
    """Gathers what each fold holds of one statistic's source ids, in files, and puts it together at the end."""

    def __init__(self, folder: Path, room: Path) -> None:
        """``folder``: where the tables go; ``room``: a folder to work in."""
        self._folder, self._room = folder, room
        self._parts: list[int] = []
        self._folds: list[tuple[float, ...]] = []

    def add(self, ids: Int32, clicks: Float64, rows: Float64, prior: Beta) -> None:
        """The next fold: its source ids (m,), ascending, with their clicks and rows, and the prior that others give."""
        number, begin = len(self._folds), sum(self._parts)
        arrays: tuple[NDArray[Any], ...] = (ids, clicks, rows)
        for file, array in zip(FILES, arrays, strict=False):
            np.save(self._room / f"held-out-{file}-{number}.npy", array)
        self._parts.append(len(ids))
        self._folds.append((begin, begin + len(ids), prior.clicks, prior.others))

    def close(self) -> None:
        """Write the tables."""
        for file, kind in zip(FILES, (np.int32, np.float64, np.float64), strict=False):
            paths = [self._room / f"held-out-{file}-{number}.npy" for number in range(len(self._parts))]
            write_column(self._folder / f"{file}.npy", kind, sum(self._parts), map(mapped, paths))
            for path in paths:
                path.unlink()
        write_array(self._folder / f"{FILES[-1]}.npy", np.array(self._folds))
