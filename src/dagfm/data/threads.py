"""A few threads for work that polars, Arrow and NumPy do outside of Python's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from threading import Event, Thread
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 4
"""More threads would hold more chunks in memory than they save time."""


def threads() -> int:
    """Threads to use: the processors this process may run on, at most ``MOST``."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, there)


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``function`` of every item, in their order; the first error is raised."""
    items = list(items)
    if len(items) < 2 or threads() == 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(threads()) as pool:
        return list(pool.map(function, items))


def read_ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next one being made while the caller works on this one."""
    ready: Queue[Any] = Queue(maxsize=1)
    stopped, end = Event(), object()

    def make() -> None:
        try:
            for item in items:
                if stopped.is_set():
                    return
                ready.put((item, None))
            ready.put((end, None))
        except BaseException as error:  # raised again where the items are used
            ready.put((end, error))

    thread = Thread(target=make, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error is not None:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()
        while thread.is_alive():
            if not ready.empty():
                ready.get()
            thread.join(0.01)
