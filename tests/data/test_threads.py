"""Work that several threads share: results in order, and nothing left running after an error."""

from __future__ import annotations

import threading
import time

import pytest

from dagfm.data.threads import in_threads


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
