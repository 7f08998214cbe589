"""The values of one field, counted: by value while they are few, from samples of values and of rows beyond that."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from dagfm.data.describe.rows import SUMS, Rows, UInt64
from dagfm.data.describe.sketch import Sketch
from dagfm.encoding.values import Float64

PARTS = slice(0, 3)


@dataclass(frozen=True, eq=False)
class Top:
    """A frequent value."""

    value: Any
    rows: float
    share: float


class Values:
    """The values of one field; cells that are missing are counted apart."""

    def __init__(self) -> None:
        self.sketch = Sketch()
        self.missing: Float64 = np.zeros(SUMS)
        """(7,) sums of the rows without a value."""
        self._texts: list[tuple[UInt64, pl.Series]] = []
        self._sample: list[tuple[pl.Series, Rows]] = []

    def add_coded(self, codes: NDArray[np.integer], distinct: pl.Series, rows: Rows) -> pl.Series:
        """Add cells (n,) as codes into values ``distinct``, whose null is *missing*, as is a code past their end.

        Returns the values that are new, or new to the sample of values.
        """
        absent = distinct.is_null().to_numpy()
        sums = rows.sums(codes, len(distinct) + 1)
        self.missing += sums[-1] + sums[:-1][absent].sum(axis=0)
        used = np.flatnonzero(~absent & (sums[:-1, PARTS].sum(axis=1) > 0))
        keys = distinct.hash().to_numpy()
        new = used[self.sketch.add(keys[used], sums[used])]
        fresh = distinct.gather(new)
        self._remember(keys[new], fresh)
        return fresh

    def add_plain(self, cells: pl.Series, rows: Rows) -> pl.Series:
        """Add cells (n,) as they are. For columns of numbers: once there are very many values, hashing all cells and
        looking at the few that are kept is far cheaper than telling all of them apart."""
        absent = cells.is_null().to_numpy()
        if absent.any():
            self.missing += rows.take(absent).sums(np.zeros(int(absent.sum()), np.int64), 1)[0]
        keys = cells.hash().to_numpy()
        kept = self.sketch.kept(keys)
        kept = kept[~absent[kept]]
        distinct, first, codes = np.unique(keys[kept], return_index=True, return_inverse=True)
        new = self.sketch.add(distinct, rows.take(kept).sums(codes, len(distinct)))
        fresh = cells.gather(kept[first[new]])
        self._remember(distinct[new], fresh)
        return fresh

    def _remember(self, keys: UInt64, values: pl.Series) -> None:
        if not self.sketch.exact:
            self._texts.clear()
        elif len(values):
            self._texts.append((keys, values))

    def add_sample(self, cells: pl.Series, rows: Rows) -> None:
        """Keep some cells, chosen by their rows' numbers alone."""
        self._sample.append((cells, rows))

    def sample(self) -> tuple[pl.Series, Rows]:
        """The cells that were kept, and their rows."""
        cells = [cells for cells, _ in self._sample]
        together = pl.concat(cells, how="vertical") if cells else pl.Series([], dtype=pl.String)
        return together, Rows.joined([rows for _, rows in self._sample])

    @property
    def rows(self) -> float:
        """Cells with a value, exact or estimated from the sample of values."""
        return float(self.sketch.sums[:, PARTS].sum()) / self.sketch.share

    def table(self) -> Float64:
        """Sums (values + 1, 7), those of missing cells last; scaled down to the sample of values where it is one."""
        return np.vstack([self.sketch.sums, self.missing[None] * self.sketch.share])

    def by_part(self) -> tuple[Float64, Float64]:
        """Rows (values, 3) of values by part, and (3,) of missing ones; of a sample of rows where values are many."""
        if self.sketch.exact:
            return self.sketch.sums[:, PARTS], self.missing[PARTS]
        cells, rows = self.sample()
        codes = cells.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        size = int(codes.max(initial=0)) + 1
        counts = np.bincount(codes * 3 + rows.parts, minlength=3 * size).reshape(size, 3).astype(np.float64)
        return counts[1:], counts[0]

    def top(self, count: int, cells: float) -> list[Top]:
        """The most frequent values, with their share of ``cells``; from a sample of rows where values are many."""
        if not self.sketch.exact:
            values, rows = self.sample()
            found = values.drop_nulls().value_counts(sort=True).head(count)
            shares = found["count"].to_numpy() / max(len(rows), 1)
            pairs = zip(found[values.name].to_list(), shares.tolist(), strict=True)
            return [Top(value, share * cells, share) for value, share in pairs]
        total = self.sketch.sums[:, PARTS].sum(axis=1)
        order = np.argsort(-total, kind="stable")[:count]
        wanted = self.sketch.keys[order].tolist()
        texts: dict[int, Any] = {}
        for keys, values in self._texts:
            for place in np.flatnonzero(np.isin(keys, self.sketch.keys[order])).tolist():
                texts[int(keys[place])] = values[place]
        return [
            Top(texts[key], float(rows), float(rows) / max(cells, 1))
            for key, rows in zip(wanted, total[order], strict=True)
        ]

    def unseen(self, sharing: list[Values], least: int, most: int | None) -> dict[int, float]:
        """By part (1 valid, 2 test): cells whose value occurs fewer than ``least`` times in the training rows, or is
        not among their ``most`` frequent ones; ``sharing``: fields that learn one vocabulary, this one among them."""
        highest = min((one.sketch.highest for one in sharing if one.sketch.highest is not None), default=None)
        mine = self.sketch.keys if highest is None else self.sketch.keys[self.sketch.keys <= highest]
        share = min(one.sketch.share for one in sharing)
        sums = self.sketch.sums[: len(mine)]
        training = sum((one.sketch.rows_of(mine, slice(0, 1)) for one in sharing), np.zeros(len(mine)))
        known = training >= least
        if most is not None:
            kept = max(1, round(most * share))
            counts = np.sort(training)[::-1]
            known &= training >= counts[min(kept, len(counts)) - 1] if len(counts) else known
        return {part: float(sums[~known, part].sum()) / share for part in (1, 2)}
