"""What each fold of the training rows adds to a cross's target statistic: recombined rows are told like training rows.

It has a pair of its own, so its statistic is made anew: from all rows but those of one fold, or it would look like a
served row among training rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dagfm.data.mapped import mapped
from dagfm.encoding.beta import Beta
from dagfm.encoding.rows import Indices, Int32
from dagfm.encoding.statistics import Statistics, told
from dagfm.encoding.values import Float64
from dagfm.files import write_array

FOLDER = "folds"
NOTHING = 1e-6
"""Weighted rows that are none: what was added and taken back may leave a rounding error."""


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
            left = np.maximum(statistics.rows[source] - own_rows, 0.0)
            left[left < NOTHING] = 0.0
            found[here] = told(np.maximum(statistics.clicks[source] - own_clicks, 0.0), left, prior)
        return found

    def _table(self, name: str, fold: int) -> tuple[Int32, Float64, Beta]:
        """The source ids that a fold holds, ascending, their clicks and rows, and the prior of the other folds."""
        if (name, fold) not in self._tables:
            ids, sums, prior = (mapped(self.folders[name] / f"{fold}-{part}.npy") for part in ("ids", "sums", "prior"))
            self._tables[name, fold] = ids, sums, Beta(*map(float, prior))
        return self._tables[name, fold]

    @cached_property
    def _tables(self) -> dict[tuple[str, int], tuple[Int32, Float64, Beta]]:
        return {}


def write_fold(folder: Path, fold: int, ids: Int32, clicks: Float64, rows: Float64, prior: Beta) -> tuple[str, ...]:
    """Write what one fold holds of each of its source ids (m,), ascending, and the prior that the others give; returns
    the files' names in ``folder``."""
    write_array(folder / f"{fold}-ids.npy", ids)
    write_array(folder / f"{fold}-sums.npy", np.stack([clicks, rows]))
    write_array(folder / f"{fold}-prior.npy", np.array([prior.clicks, prior.others]))
    return tuple(f"{fold}-{name}.npy" for name in ("ids", "sums", "prior"))
