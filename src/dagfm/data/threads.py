"""A few threads for work that polars, Arrow and NumPy do outside of Python's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 4
"""More threads would hold more chunks in memory than they save time."""


def threads() -> int:
    """Threads to use: the processors this process may run on, at most ``MOST``."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST, there)


def in_threads(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """``function`` of every item, in their order; the first error is raised. Not to be called from ``function``."""
    items = list(items)
    if len(items) < 2 or threads() == 1:
        return [function(item) for item in items]
    pool = _pool(os.getpid())
    futures = [pool.submit(function, item) for item in items]
    try:
        return [future.result() for future in futures]
    finally:  # after an error nothing runs on behind the caller's back
        for future in futures:
            future.cancel()
        wait(futures)


def in_order(
    function: Callable[[T], R], items: Iterable[T], ahead: int | None = None, purpose: str = ""
) -> Iterator[R]:
    """``function`` of every item, in their order, worked out ahead of the caller: as many items as ``ahead`` at a time,
    or one more than there are threads. Of all errors, also those of ``items``, the first in order is raised. Not to be
    called from ``function``, but with another ``purpose``, which has threads of its own."""
    if threads() == 1:
        yield from map(function, items)
        return
    pool, most = _pool(os.getpid(), purpose), ahead or threads() + 1
    running = deque[Future[R]]()
    left, failure = iter(items), None
    try:
        while failure is None or running:
            try:
                while failure is None and len(running) < most:
                    running.append(pool.submit(function, next(left)))
            except Exception as error:
                failure = error
            if running:
                yield running.popleft().result()
        if not isinstance(failure, StopIteration):
            raise failure
    finally:  # after an error nothing runs on behind the caller's back
        for future in running:
            future.cancel()
        wait(running)


@cache
def _pool(process: int, purpose: str = "") -> ThreadPoolExecutor:
    """The threads of a process, a child's its own, for one purpose. Always the same ones: the C library gives every new
    thread an arena of its own while it has one, and never gives back an arena's end."""
    return ThreadPoolExecutor(threads())
