"""Trainings side by side, each on a thread of its own, told as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import RLock
from typing import TypeVar

import torch

from dagfm.data.threads import threads
from dagfm.errors import DagfmError
from dagfm.progress import Progress

T = TypeVar("T")


def side_by_side(
    title: str, trainings: Sequence[Callable[[Progress], T]], watch: Progress, device: torch.device
) -> list[T]:
    """What ``trainings`` return, in their order; as many run at once as there are processors, one after the other on a
    GPU, each with as many threads of torch as the caller has. ``watch`` is told of them as of one, called ``title``.

    Where one fails, or the caller is interrupted, all end at their next step. Torch's own random numbers are of the
    process: no training may draw from them.
    """
    together = _Together(title, watch)
    at_once = min(threads(), len(trainings)) if device.type == "cpu" else 1
    with_threads = partial(torch.set_num_threads, torch.get_num_threads())
    with torch.random.fork_rng(devices=[]), ThreadPoolExecutor(at_once, initializer=with_threads) as pool:
        running = [pool.submit(training, _Told(together, index + 1)) for index, training in enumerate(trainings)]
        try:
            return [one.result() for one in running]
        except BaseException:
            together.over = True
            for one in running:
                one.cancel()
            raise


class _Together:
    """What has been told of all of them."""

    def __init__(self, title: str, watch: Progress) -> None:
        self.title, self.watch = title, watch
        self.lock, self.over = RLock(), False
        self.rows = self.done = self.running = 0

    def begin(self, rows: int, done: int) -> None:
        """One more of so many rows runs: the bar is as long as all that have begun."""
        self.rows, self.done, self.running = self.rows + rows, self.done + done, self.running + 1
        self.watch.start(self.title, self.rows, self.done)


class _Told:
    """The progress of one of them."""

    def __init__(self, together: _Together, number: int) -> None:
        self._together, self._number = together, number

    def start(self, title: str, rows: int, done: int = 0) -> None:
        with self._together.lock:
            self._together.begin(rows, done)

    def advance(self, rows: int) -> None:
        with self._together.lock:
            if self._together.over:
                raise DagfmError(f"{self._together.title}: ended with another training")
            self._together.done += rows
            self._together.watch.advance(rows)

    def line(self, text: str) -> None:
        with self._together.lock:
            self._together.watch.line(f"fold {self._number}: {text}")

    def finish(self) -> None:
        with self._together.lock:
            self._together.running -= 1
            if not self._together.running:
                self._together.watch.finish()
