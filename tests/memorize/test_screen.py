from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from clicks import Silent, Told

from dagfm.config.memorize import MemorizeConfig
from dagfm.memorize.effects import Rows
from dagfm.memorize.screen import Found, Search

Array = np.ndarray
FIELDS = 8
IDS = 30


def random_tokens(random: np.random.Generator, rows: int = 20_000, fields: int = FIELDS, ids: int = IDS) -> Array:
    return 2 + random.integers(0, ids, (rows, fields))


def planted(random: np.random.Generator, tokens: Array, *pairs: tuple[int, int], spread: float = 1.0) -> Array:
    """(n,) effects of every pair of values of two columns: none of a value alone, and no low rank among them."""
    effects = np.zeros(len(tokens))
    for one, other in pairs:
        size = int(tokens.max()) - 1
        table = random.normal(0, spread, (size, size))
        table -= table.mean(0) + table.mean(1)[:, None] - table.mean()
        effects += table[tokens[:, one] - 2, tokens[:, other] - 2]
    return effects


def search_of(
    random: np.random.Generator,
    tokens: Array,
    effects: Array | float = 0.0,
    progress: Silent | None = None,
    scale: float = 1.0,
    **settings: Any,
) -> Search:
    """A search over the columns f0, f1, ... of rows whose clicks follow ``effects``; known is their rate alone."""
    clicks = (random.random(len(tokens)) < 1 / (1 + np.exp(1.0 - effects))).astype(float)
    logits = np.full(len(tokens), np.log(clicks.mean() / (1 - clicks.mean())))
    names = [f"f{index}" for index in range(tokens.shape[1])]
    return Search(
        Rows(clicks, np.ones(len(tokens)), logits, tokens.astype(np.int32)),
        {name: index for index, name in enumerate(names)},
        {name: int(tokens[:, index].max()) + 1 for index, name in enumerate(names)},
        frozenset(names),
        MemorizeConfig(keys="auto", **settings),
        scale,
        progress or Silent(),
    )


def chosen(found: list[Found]) -> list[tuple[str, ...]]:
    return [one.key for one in found if one.refused is None]


def the(found: list[Found], *key: str) -> Found:
    (one,) = (one for one in found if one.key == key)
    return one


def test_the_planted_pair_is_found_first_and_alone() -> None:
    random, told = np.random.default_rng(0), Told()
    tokens = random_tokens(random)
    found = search_of(random, tokens, planted(random, tokens, (2, 5)), told).run()
    assert chosen(found) == [("f2", "f5")]
    assert found[0].key == ("f2", "f5")
    assert told.lines == [f"f2 x f5: logloss -{found[0].gain:.5f}"]
    assert found[0].values == IDS**2
    # All fields, all pairs, and the chosen pair with every third field.
    assert len(found) == FIELDS + FIELDS * (FIELDS - 1) // 2 + FIELDS - 2
    assert all(one.refused == "lowers the logloss by less than 0.0002" for one in found[1:])


def test_a_field_and_a_pair_are_found_in_the_order_of_what_they_add() -> None:
    random = np.random.default_rng(1)
    tokens = random_tokens(random)
    field = random.normal(0, 0.6, IDS + 2)[tokens[:, 7]]
    found = search_of(random, tokens, planted(random, tokens, (0, 1)) + field).run()
    assert chosen(found) == [("f0", "f1"), ("f7",)]
    # A pair that holds the field adds nothing to it.
    assert the(found, "f0", "f7").refused == "lowers the logloss by less than 0.0002"


def test_a_planted_triple_is_found_by_a_pair_of_it_that_pays() -> None:
    random = np.random.default_rng(2)
    tokens = random_tokens(random, 40_000, 5, 8)
    triple = random.normal(0, 1, (10, 10, 10))[tokens[:, 0], tokens[:, 2], tokens[:, 3]]
    found = search_of(random, tokens, triple + planted(random, tokens, (0, 2), spread=0.5)).run()
    assert ("f0", "f2", "f3") in chosen(found)


def test_random_labels_are_not_memorised() -> None:
    for seed in range(4):
        random = np.random.default_rng(seed)
        ids = 2 + random.integers(0, 20_000, 20_000)
        few = random_tokens(random, fields=3)
        rare = 2 + np.minimum(random.zipf(1.3, 20_000) - 1, 5_000)
        found = search_of(random, np.column_stack([ids, few, rare])).run()
        assert chosen(found) == []
        assert all(one.refused for one in found)


def test_keys_that_tell_the_same_values_apart_are_one() -> None:
    random = np.random.default_rng(3)
    tokens = random_tokens(random, fields=4)
    tokens[:, 2] = (2 + np.random.default_rng(9).permutation(IDS))[tokens[:, 0] - 2]  # another name of the same thing
    found = search_of(random, tokens, random.normal(0, 1, IDS + 2)[tokens[:, 0]]).run()
    (first,) = chosen(found)
    same = {"f0", "f2"}
    assert set(first) <= same
    for key in {("f0",), ("f2",), ("f0", "f2")} - {first}:
        assert the(found, *key).refused == f"the same as {' x '.join(first)}"


def test_no_more_fields_are_taken_than_the_budget_has() -> None:
    random = np.random.default_rng(4)
    tokens = random_tokens(random)
    effects = planted(random, tokens, (0, 1), (2, 3), (4, 5))
    assert len(chosen(search_of(np.random.default_rng(5), tokens, effects).run())) == 3
    found = search_of(np.random.default_rng(5), tokens, effects, fields=2).run()
    pairs = {("f0", "f1"), ("f2", "f3"), ("f4", "f5")}
    assert len(chosen(found)) == 2
    (left,) = pairs - set(chosen(found))
    assert the(found, *left).refused == "the budget is 2 fields"
    assert the(found, "f6", "f7").refused == "lowers the logloss by less than 0.0002"


def test_no_larger_tables_are_taken_than_the_budget_has() -> None:
    random = np.random.default_rng(6)
    tokens = random_tokens(random, 40_000, 4, 100)
    effects = planted(random, tokens, (0, 1), (2, 3), spread=2.0)
    # 10,000 combinations in 40,000 rows, and more in all rows: a table of at most 1 MB holds none of them.
    found = search_of(np.random.default_rng(7), tokens, effects, scale=20.0, megabytes=1).run()
    assert chosen(found) == []
    assert the(found, "f0", "f1").refused == the(found, "f2", "f3").refused == "the budget is 1 MB"
    assert 1 < the(found, "f0", "f1").megabytes < 5
    # Room for one.
    found = search_of(np.random.default_rng(7), tokens, effects, scale=20.0, megabytes=2).run()
    assert len(chosen(found)) == 1
    assert {the(found, "f0", "f1").refused, the(found, "f2", "f3").refused} == {None, "the budget is 2 MB"}


def test_a_field_that_cannot_stand_alone_is_looked_at_in_pairs_alone() -> None:
    random = np.random.default_rng(8)
    tokens = random_tokens(random, fields=3)
    search = search_of(random, tokens, random.normal(0, 1, IDS + 2)[tokens[:, 1]])
    search.alone = frozenset({"f0", "f2"})
    keys = {one.key for one in search.run()}
    assert {("f0",), ("f2",), ("f0", "f1"), ("f1", "f2")} <= keys
    assert ("f1",) not in keys


def test_combinations_too_many_to_number_are_not_looked_at() -> None:
    random = np.random.default_rng(9)
    search = search_of(random, random_tokens(random, 2_000, 3))
    search.sizes = {"f0": 2**32, "f1": 2**32, "f2": 100}
    keys = {one.key for one in search.run()}
    assert ("f0", "f1") not in keys
    assert ("f0", "f2") in keys


def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(10)
    tokens = random_tokens(random, 5_000)
    effects = planted(random, tokens, (2, 5), (1, 3))
    found = []
    for count in 1, 4:
        monkeypatch.setattr("dagfm.data.threads.threads", lambda count=count: count)
        found.append(search_of(np.random.default_rng(11), tokens, effects).run())
    assert chosen(found[0])
    assert found[0] == found[1]


def test_progress_is_told_of_the_keys_that_were_announced_and_of_no_more() -> None:
    class Counted(Silent):
        announced = done = 0

        def start(self, title: str, rows: int, done: int = 0) -> None:
            self.announced += rows

        def advance(self, rows: int) -> None:
            self.done += rows

    random, counted = np.random.default_rng(0), Counted()
    tokens = random_tokens(random)
    found = search_of(random, tokens, planted(random, tokens, (2, 5)), counted).run()
    assert counted.done == counted.announced < len(found)
