"""Work that several threads share: results in order, and nothing left running after an error."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from dagfm.data import threads
from dagfm.data.threads import in_order, in_threads


def test_results_come_in_the_items_order() -> None:
    def slow_at_first(item: int) -> int:
        time.sleep(0.02 if item == 0 else 0.0)
        return item * item

    assert in_threads(slow_at_first, range(20)) == [item * item for item in range(20)]


def test_the_same_threads_serve_every_call() -> None:
    seen: set[int] = set()
    for _ in range(10):
        in_threads(lambda _: seen.add(threading.get_ident()), range(8))
    assert len(seen) <= 4


def test_an_error_leaves_nothing_running() -> None:
    begun, ended = [], []

    def work(item: int) -> None:
        if item == 0:
            raise ValueError("the first one")
        begun.append(item)
        time.sleep(0.01)
        ended.append(item)

    with pytest.raises(ValueError, match="the first one"):
        in_threads(work, range(50))
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 49


def test_what_is_worked_out_ahead_comes_in_order_and_only_a_little_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for item in range(30):
            taken.append(item)
            yield item

    def slow_at_times(item: int) -> int:
        time.sleep(0.005 if item % 3 == 0 else 0.0)
        return item * item

    for done, square in enumerate(in_order(slow_at_times, items())):
        assert square == done * done
        assert len(taken) <= done + 1 + threads.MOST
    assert taken == list(range(30))


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize(
    ("bad_item", "source_ends", "raised"), [(3, 5, "item 3"), (5, 4, "the source"), (0, 1, "item 0")]
)
def test_of_all_errors_the_first_in_order_is_raised(
    monkeypatch: pytest.MonkeyPatch, count: int, bad_item: int, source_ends: int, raised: str
) -> None:
    monkeypatch.setattr(threads, "threads", lambda: count)

    def items() -> Iterator[int]:
        yield from range(source_ends)
        raise ValueError("the source")

    def work(item: int) -> int:
        time.sleep(0.01 if item == bad_item else 0.0)
        if item >= bad_item:
            raise ValueError(f"item {item}")
        return item

    got = []
    with pytest.raises(ValueError, match=raised):
        got.extend(in_order(work, items()))
    # extend keeps what came before the error
    assert got == list(range(min(bad_item, source_ends)))


def test_nothing_runs_on_when_the_caller_stops() -> None:
    begun, ended = [], []

    def work(item: int) -> int:
        begun.append(item)
        time.sleep(0.01)
        ended.append(item)
        return item

    results = in_order(work, range(50))
    assert next(results) == 0
    results.close()  # type: ignore[attr-defined]
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 10
