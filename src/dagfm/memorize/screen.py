"""The search: which keys, one after the other, lower the logloss most of all that a model has left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from dagfm.config.memorize import Key, MemorizeConfig
from dagfm.data.threads import in_threads
from dagfm.encoding.crosses import can_be_numbered
from dagfm.memorize.effects import Effect, Places, Rows, effect_of, share_of_one_label
from dagfm.progress import Progress

SHORTLIST = 24
"""Keys that are looked at again once another is chosen."""
_SURE = 3.0
"""Standard errors that a gain has to be above 0."""
_SAME = 1.05
"""Two keys that together tell no more values apart than this times each alone are one."""
_ROUNDS = 3
"""Newton steps for a key that is chosen."""
_BYTES = {True: 32, False: 16}
"""Of a combination (its members, its rank, clicks and rows) and of a single value, which the vocabulary holds."""


@dataclass
class Found:
    """One key and what the search says of it."""

    key: Key
    gain: float
    """By how much it lowers the logloss of training rows; of a chosen key, beside those chosen before."""
    error: float
    values: int
    """Combinations in all training rows, about."""
    refused: str | None = None
    """Why it is not taken."""
    one_label: float | None = None
    """Of a chosen key: the share of rows with a click's value whose value has clicks alone, see ``effects``."""

    @property
    def megabytes(self) -> float:
        """What its table takes, about."""
        return self.values * _BYTES[len(self.key) > 1] / 1e6


@dataclass
class Search:
    """A search over keys of some fields."""

    rows: Rows
    columns: Mapping[str, int]
    """Where each field's ids stand in the rows' tokens."""
    sizes: Mapping[str, int]
    """Row ids that each field can have."""
    alone: frozenset[str]
    """Fields that may be a key by themselves."""
    config: MemorizeConfig
    scale: float
    """Training rows a searched row."""
    progress: Progress
    _distinct: dict[Key, int] = field(default_factory=dict)

    def run(self) -> list[Found]:
        """All keys that were looked at, the chosen ones first and in the order in which they were chosen."""
        names = list(self.columns)
        keys: list[Key] = [(name,) for name in names if name in self.alone]
        keys += [pair for pair in combinations(names, 2) if self._can_be_numbered(pair)]
        self.progress.start("searching keys", len(keys))

        def looked(key: Key) -> Found:
            one = self._look(key)
            self.progress.advance(1)
            return one

        found = {one.key: one for one in in_threads(looked, keys)}
        self.progress.finish()
        chosen: list[Found] = []
        rows = self.rows
        while len(chosen) < self.config.fields:
            best = self._next(found, chosen, rows)
            if best is None:
                break
            chosen.append(best)
            best.one_label = share_of_one_label(self.rows, self._at(best.key))
            self.progress.line(f"{' x '.join(best.key)}: logloss -{best.gain:.5f}")
            for _ in range(_ROUNDS):
                rows = rows.moved(self._effect(rows, best.key).by)
            triples = [triple for triple in self._extended(best.key, names) if triple not in found]
            found |= {one.key: one for one in in_threads(self._look, triples)}
        for one in found.values():
            if one not in chosen and one.refused is None:
                over = len(chosen) >= self.config.fields and self._pays(one)
                one.refused = f"the budget is {self.config.fields} fields" if over else self._too_little()
        rest = sorted((one for one in found.values() if one not in chosen), key=lambda one: -one.gain)
        return [*chosen, *rest]

    def _next(self, found: Mapping[Key, Found], chosen: Sequence[Found], rows: Rows) -> Found | None:
        """The key that adds most to the ``chosen`` ones, as ``rows`` are after them; None where none adds enough."""
        open_ = (one for one in found.values() if one not in chosen and one.refused is None)
        left: list[Found] = []
        for one in sorted(open_, key=lambda one: -one.gain):
            one.refused = self._refusal(one, chosen)
            if one.refused is None:
                left.append(one)
            if len(left) == SHORTLIST:
                break
        if chosen:
            for one, effect in zip(left, in_threads(lambda one: self._effect(rows, one.key), left), strict=True):
                one.gain, one.error = effect.gain, effect.error
        best = max(left, key=lambda one: one.gain, default=None)
        return best if best is not None and self._pays(best) else None

    def _refusal(self, one: Found, chosen: Sequence[Found]) -> str | None:
        room = self.config.megabytes - sum(other.megabytes for other in chosen)
        if one.megabytes > room:
            return f"the budget is {self.config.megabytes} MB"
        for other in chosen:
            if self._are_one(one.key, other.key):
                return f"the same as {' x '.join(other.key)}"
        return None

    def _are_one(self, key: Key, other: Key) -> bool:
        union = tuple(name for name in self.columns if name in {*key, *other})
        if len(union) > 3 or not self._can_be_numbered(union):
            return False
        both = self._counted(union)
        return both <= _SAME * self._counted(key) and both <= _SAME * self._counted(other)

    def _pays(self, one: Found) -> bool:
        return one.gain >= max(self.config.gain, _SURE * one.error)

    def _too_little(self) -> str:
        return f"lowers the logloss by less than {self.config.gain:g}"

    def _extended(self, key: Key, names: Sequence[str]) -> list[Key]:
        """A chosen pair with every third field."""
        if len(key) != 2:
            return []
        triples = [tuple(name for name in names if name in {*key, third}) for third in names if third not in key]
        return [triple for triple in triples if self._can_be_numbered(triple)]

    def _can_be_numbered(self, key: Key) -> bool:
        return can_be_numbered([self.sizes[name] for name in key])

    def _look(self, key: Key) -> Found:
        places = self._at(key)
        self._distinct[key] = places.distinct
        effect = effect_of(self.rows, places)
        return Found(key, effect.gain, effect.error, round(places.distinct * self._growth(places)))

    def _growth(self, places: Places) -> float:
        """How many times as many values all rows may have: as many more as rows, where nearly each has its own."""
        share = places.distinct / max(len(self.rows.clicks), 1)
        return 1.0 + (self.scale - 1.0) * min(1.0, share)

    def _effect(self, rows: Rows, key: Key) -> Effect:
        return effect_of(rows, self._at(key))

    def _counted(self, key: Key) -> int:
        """Values of a key that the rows hold."""
        if key not in self._distinct:
            self._distinct[key] = self._at(key).distinct
        return self._distinct[key]

    def _at(self, key: Key) -> Places:
        return Places.of(self.rows, [self.columns[name] for name in key], [self.sizes[name] for name in key])
